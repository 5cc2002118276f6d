// 2. All three steps of a row before the next row.
//
// A row (3 KB at 768 numbers) stays in the first-level cache between its steps, so memory is read once: half
// the bytes of the rung before. The variance still takes a second walk: a sum of squares less the squared
// mean would need no second one, but where the mean is large it loses all digits, and a walk over the
// first-level cache costs next to nothing. Little is gained yet, because the sums, one addition after
// another, take longer than the memory.
#include <cmath>

#include "kernels/ladders/cpu/layer_norm/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void normalise(const k::LayerNorm& p) {
  const T *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  const float cols = static_cast<float>(p.cols);
  for (i64 r = 0; r < p.rows; ++r) {
    const T* const x = static_cast<const T*>(p.x) + r * p.cols;
    T* const y = static_cast<T*>(p.y) + r * p.cols;
    float sum = 0, squares = 0;
    for (i64 i = 0; i < p.cols; ++i) sum += to_f32(x[i]);
    const float mean = sum / cols;
    for (i64 i = 0; i < p.cols; ++i) squares += (to_f32(x[i]) - mean) * (to_f32(x[i]) - mean);
    const float rstd = 1 / std::sqrt(squares / cols + p.eps);
    for (i64 i = 0; i < p.cols; ++i)
      y[i] = from_f32<T>((to_f32(x[i]) - mean) * rstd * to_f32(w[i]) + to_f32(b[i]));
    if (p.stats) p.stats[2 * r] = mean, p.stats[2 * r + 1] = rstd;
  }
}

}  // namespace

void layer_norm_rows(const k::LayerNorm& p) {
  p.dtype == DType::bf16 ? normalise<bf16>(p) : normalise<float>(p);
}

}  // namespace bp::cpu::ladder
