// 1. One pass over memory for each line of the definition, as tensor operations would do it.
//
// Bytes moved per parameter (f32, with an average, as the student has it): decay 8, m 12, v 12, w 16, average
// 12: 60, where four states read and written and the gradient read once are 36. A copy adds 8, where 4 would
// do. The arithmetic, some 15 operations with a root and a division, is little beside that.
#include <cmath>

#include "kernels/ladders/cpu/adamw/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void update(const k::AdamW& p, const AdamWStep& step, const k::AdamW::Item& t) {
  const T* const grad = static_cast<const T*>(t.grad);
  const float lr = step.lr * t.lr_scale;
  for (i64 i = 0; i < t.n; ++i) t.w[i] -= lr * t.decay * t.w[i];
  for (i64 i = 0; i < t.n; ++i) t.m[i] += (1 - p.beta1) * (step.grad_scale * to_f32(grad[i]) - t.m[i]);
  for (i64 i = 0; i < t.n; ++i) {
    const float g = step.grad_scale * to_f32(grad[i]);
    t.v[i] += (1 - p.beta2) * (g * g - t.v[i]);
  }
  for (i64 i = 0; i < t.n; ++i)
    t.w[i] -= lr * t.m[i] * step.m_scale / (std::sqrt(t.v[i]) * step.v_scale + p.eps);
  if (t.copy)
    for (i64 i = 0; i < t.n; ++i) static_cast<T*>(t.copy)[i] = from_f32<T>(t.w[i]);
}

}  // namespace

void adamw_passes(const k::AdamW& p) {
  AdamWStep step;
  if (!adamw_step(p, step)) return;
  for (i64 k = 0; k < p.count; ++k) {
    const k::AdamW::Item& t = p.items[k];
    if (t.grad) t.dtype == DType::bf16 ? update<bf16>(p, step, t) : update<float>(p, step, t);
    if (t.average)
      for (i64 i = 0; i < t.n; ++i) t.average[i] += step.average_step * (t.w[i] - t.average[i]);
  }
}

}  // namespace bp::cpu::ladder
