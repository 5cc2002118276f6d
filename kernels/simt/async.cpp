#include <cstring>

#include "kernels/simt/machine.h"

namespace bp::simt {

void perform(void* shared, const void* global, std::size_t bytes, std::size_t zeros) {
  if (bytes) std::memcpy(shared, global, bytes);
  std::memset(static_cast<char*>(shared) + bytes, 0, zeros);
}

}  // namespace bp::simt
