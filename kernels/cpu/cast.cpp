// Between f32 and bf16.
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

template <class From, class To>
void run(const k::Cast& p) {
  const From* x = static_cast<const From*>(p.x);
  To* y = static_cast<To*>(p.y);
  parallel_for(p.n, 32768, [&](i64 begin, i64 end) {
    i64 i = begin;
    for (; i + kLanes <= end; i += kLanes) store(y + i, load(x + i));
    if (i < end) store_part(y + i, load_part(x + i, end - i), end - i);
  });
}

}  // namespace

void cast(const k::Cast& p) {
  const bool from_f32 = p.from == DType::f32, to_f32 = p.to == DType::f32;
  if (from_f32) return to_f32 ? run<float, float>(p) : run<float, bf16>(p);
  return to_f32 ? run<bf16, float>(p) : run<bf16, bf16>(p);
}
#include "kernels/cpu/isa_end.h"
