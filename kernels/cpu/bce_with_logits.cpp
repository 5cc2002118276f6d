// Binary cross entropy on logits, its mean and gradient in one pass:
//   -t log s(x) - (1 - t) log(1 - s(x)) = max(x, 0) - x t + log(1 + e^-|x|),  derivative s(x) - t.
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kChunk = 4096;

template <class T>
void run(const k::BceWithLogits& p) {
  const T *x = static_cast<const T*>(p.x), *targets = static_cast<const T*>(p.targets);
  T* dx = static_cast<T*>(p.dx);
  const float share = 1.0f / static_cast<float>(p.n);
  const i64 chunks = (p.n + kChunk - 1) / kChunk;
  float* const partial = scratch<float>(0, 2 * chunks);  // per chunk: loss, targets out of range
  parallel_for(chunks, 1, [&](i64 begin, i64 end) {
    for (i64 c = begin; c < end; ++c) {
      const i64 from = c * kChunk, count = p.n - from < kChunk ? p.n - from : kChunk;
      vf loss = {}, outside = {};
      each_vector(count, [&](i64 i, i64 n) {
        const vf v = load(x + from + i, n), t = load(targets + from + i, n), size = v < 0.0f ? -v : v;
        loss += first_lanes(max(v, vf{}) - v * t + log1p(exp(-size)), n);
        outside += (t >= 0.0f) & (t <= 1.0f) ? vf{} : splat(1.0f);
        if (dx) store(dx + from + i, (sigmoid(v) - t) * share, n);
      });
      partial[2 * c] = sum_lanes(loss);
      partial[2 * c + 1] = sum_lanes(outside);
    }
  });
  double loss = 0, outside = 0;
  for (i64 c = 0; c < chunks; ++c) {
    loss += static_cast<double>(partial[2 * c]);
    outside += static_cast<double>(partial[2 * c + 1]);
  }
  *static_cast<T*>(p.loss) = from_f32<T>(static_cast<float>(loss / static_cast<double>(p.n)));
  *p.outside = static_cast<float>(outside);
}

}  // namespace

void bce_with_logits(const k::BceWithLogits& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
