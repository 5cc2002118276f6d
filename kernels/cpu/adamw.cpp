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

void move_average(const k::AdamW& p, float* average, vf w, i64 n) {
  const vf a = load(average, n);
  store(average, a + p.average_step * (w - a), n);
}

template <class T>
void update(const k::AdamW& p, const k::AdamW::Item& t, i64 begin, i64 end) {
  const T* grad = static_cast<const T*>(t.grad);
  T* copy = static_cast<T*>(t.copy);
  each_vector(end - begin, [&](i64 offset, i64 n) {
    const i64 i = begin + offset;
    const vf g = p.grad_scale * load(grad + i, n);
    vf w = load(t.w + i, n), m = load(t.m + i, n), v = load(t.v + i, n);
    w -= t.lr * t.decay * w;
    m += (1.0f - p.beta1) * (g - m);
    v += (1.0f - p.beta2) * (g * g - v);
    w -= t.lr * (m * p.m_scale) / (sqrt(v) * p.v_scale + p.eps);
    store(t.w + i, w, n);
    store(t.m + i, m, n);
    store(t.v + i, v, n);
    if (copy) store(copy + i, w, n);
    if (t.average) move_average(p, t.average + i, w, n);
  });
}

}  // namespace

void adamw(const k::AdamW& p) {
  each_piece(p.items, p.count, scratch<i64>(0, p.count + 1),
             [&](const k::AdamW::Item& t, i64 begin, i64 end, i64) {
               if (t.grad)
                 t.dtype == DType::f32 ? update<float>(p, t, begin, end) : update<bf16>(p, t, begin, end);
               else if (t.average)
                 each_vector(end - begin, [&](i64 i, i64 n) {
                   move_average(p, t.average + begin + i, load(t.w + begin + i, n), n);
                 });
             });
}
#include "kernels/cpu/isa_end.h"
