// 8-bit RGB to a normalised, zero-padded network input: (x - mean) / std in f32, as PyTorch computes it.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"

namespace {

typedef u8 vb_any __attribute__((vector_size(kLanes), aligned(1), may_alias));

template <class T>
void run(const k::NormalizePad& a) {
  // The channel of a lane repeats every three vectors, which is kLanes pixels.
  vf mean[3], deviation[3];
  for (int i = 0; i < 3 * kLanes; ++i) {
    mean[i / kLanes][i % kLanes] = a.mean[i % 3];
    deviation[i / kLanes][i % kLanes] = a.std[i % 3];
  }
  parallel_for(a.oh, 16, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      const i64 n = r < a.h ? 3 * a.w : 0;
      const u8* x = a.x + r * 3 * a.w;
      T* y = static_cast<T*>(a.y) + r * 3 * a.ow;
      i64 i = 0;
      for (; i + 3 * kLanes <= n; i += 3 * kLanes)
        for (int v = 0; v < 3; ++v) {
          const vb_any bytes = *reinterpret_cast<const vb_any*>(x + i + v * kLanes);
          store(y + i + v * kLanes, (__builtin_convertvector(bytes, vf) - mean[v]) / deviation[v]);
        }
      for (; i < n; ++i) y[i] = from_f32<T>((static_cast<float>(x[i]) - a.mean[i % 3]) / a.std[i % 3]);
      std::fill(y + n, y + 3 * a.ow, T{});
    }
  });
}

}  // namespace

void normalize_pad(const k::NormalizePad& a) {
  if (a.dtype == DType::bf16) return run<bf16>(a);
  run<float>(a);
}
#include "kernels/cpu/isa_end.h"
