// One step of AdamW over all parameters in one pass over memory, the moving average of the weights included.
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/pieces.h"

namespace {

BP_INLINE vf sqrt(vf x) {
  vf y;
  for (int i = 0; i < kLanes; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
}

struct Step {  // what is the same for all tensors
  float lr, m_scale, v_scale, average_step, grad_scale;
};

// False where a gradient is not finite.
bool read_step(const k::AdamW& p, Step& step) {
  double square = 0;
  for (i64 i = 0; i < p.count; ++i) {
    if (!__builtin_isfinite(p.squares[i])) return false;
    square += static_cast<double>(p.squares[i]);
  }
  const double norm = __builtin_sqrt(square);
  step = {p.schedule[0], p.schedule[1], p.schedule[2], p.schedule[3],
          p.clip > 0 && norm > p.clip ? static_cast<float>(p.clip / norm) : 1.0f};
  return true;
}

void move_average(const Step& p, float* average, vf w, i64 n) {
  const vf a = load(average, n);
  store(average, a + p.average_step * (w - a), n);
}

template <class T>
void update(const k::AdamW& p, const Step& step, const k::AdamW::Item& t, i64 begin, i64 end) {
  const float lr = step.lr * t.lr_scale;
  const T* grad = static_cast<const T*>(t.grad);
  T* copy = static_cast<T*>(t.copy);
  each_vector(end - begin, [&](i64 offset, i64 n) {
    const i64 i = begin + offset;
    const vf g = step.grad_scale * load(grad + i, n);
    vf w = load(t.w + i, n), m = load(t.m + i, n), v = load(t.v + i, n);
    w -= lr * t.decay * w;
    m += (1.0f - p.beta1) * (g - m);
    v += (1.0f - p.beta2) * (g * g - v);
    w -= lr * (m * step.m_scale) / (sqrt(v) * step.v_scale + p.eps);
    store(t.w + i, w, n);
    store(t.m + i, m, n);
    store(t.v + i, v, n);
    if (copy) store(copy + i, w, n);
    if (t.average) move_average(step, t.average + i, w, n);
  });
}

}  // namespace

void adamw(const k::AdamW& p) {
  Step step;
  if (!read_step(p, step)) return;
  each_piece(p.items, p.count, scratch<i64>(0, p.count + 1),
             [&](const k::AdamW::Item& t, i64 begin, i64 end, i64) {
               if (t.grad)
                 t.dtype == DType::f32 ? update<float>(p, step, t, begin, end)
                                       : update<bf16>(p, step, t, begin, end);
               else if (t.average)
                 each_vector(end - begin, [&](i64 i, i64 n) {
                   move_average(step, t.average + begin + i, load(t.w + begin + i, n), n);
                 });
             });
}
#include "kernels/cpu/isa_end.h"
