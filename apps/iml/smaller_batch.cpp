#include "apps/iml/smaller_batch.h"

#include "engine/allocator.h"
#include "engine/error.h"
#include "engine/graph.h"

namespace bp {

std::string smaller_batch(Device device, i64 batch, i64 size, const std::function<void(i64)>& work) {
  if (device == Device{}) return "; a smaller --batch needs less";
  const std::size_t left = available_memory(device);
  // A twentieth stays for the libraries' own needs.
  for (batch /= 2; batch >= 1; batch /= 2)
    if (memory_needed(device, [&] { work(batch); }) < left - left / 20)
      return text("; --batch ", batch, " would fit");
  return text("; not even --batch 1 would fit at --size ", size);
}

}  // namespace bp
