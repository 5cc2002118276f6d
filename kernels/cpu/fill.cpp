// One value everywhere.
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

template <class T>
void run(void* y, i64 n, T value) {
  T* out = static_cast<T*>(y);
  parallel_for(n, 65536, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) out[i] = value;
  });
}

}  // namespace

void fill(const k::Fill& p) {
  switch (p.dtype) {
    case DType::f32:
      return run(p.y, p.n, p.value);
    case DType::bf16:
      return run(p.y, p.n, to_bf16(p.value));
    case DType::i32:
      return run(p.y, p.n, static_cast<std::int32_t>(p.value));
    case DType::u8:
      return run(p.y, p.n, static_cast<u8>(p.value));
  }
}
#include "kernels/cpu/isa_end.h"
