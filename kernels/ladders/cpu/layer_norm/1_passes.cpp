// 1. Line by line as in the definition, each over the whole matrix: means, variances, results.
//
// The matrix of SAM-B's 4096 tokens x 768 is 13 MB, more than the caches near a core hold, and comes from
// memory three times: 3 reads and 1 write of 13 MB where 1 and 1 would do, so twice the floor. The sums add
// one number after another, about four cycles each.
#include <cmath>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/layer_norm/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void normalise(const k::LayerNorm& p) {
  const T *x = static_cast<const T*>(p.x), *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  T* const y = static_cast<T*>(p.y);
  float *const mean = scratch<float>(0, p.rows), *const rstd = scratch<float>(1, p.rows);
  const float cols = static_cast<float>(p.cols);
  for (i64 r = 0; r < p.rows; ++r) {
    float sum = 0;
    for (i64 i = 0; i < p.cols; ++i) sum += to_f32(x[r * p.cols + i]);
    mean[r] = sum / cols;
  }
  for (i64 r = 0; r < p.rows; ++r) {
    float sum = 0;
    for (i64 i = 0; i < p.cols; ++i) {
      const float d = to_f32(x[r * p.cols + i]) - mean[r];
      sum += d * d;
    }
    rstd[r] = 1 / std::sqrt(sum / cols + p.eps);
  }
  for (i64 r = 0; r < p.rows; ++r) {
    for (i64 i = 0; i < p.cols; ++i)
      y[r * p.cols + i] =
          from_f32<T>((to_f32(x[r * p.cols + i]) - mean[r]) * rstd[r] * to_f32(w[i]) + to_f32(b[i]));
    if (p.stats) p.stats[2 * r] = mean[r], p.stats[2 * r + 1] = rstd[r];
  }
}

}  // namespace

void layer_norm_passes(const k::LayerNorm& p) {
  p.dtype == DType::bf16 ? normalise<bf16>(p) : normalise<float>(p);
}

}  // namespace bp::cpu::ladder
