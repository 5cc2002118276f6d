// AdamW in vectors. Included inside a level's namespace, after kernels/cpu/simd.h (vf is a vector of kLanes
// floats).

BP_INLINE vf root(vf x) {
  vf y;
  for (int i = 0; i < kLanes; ++i) y[i] = __builtin_sqrtf(x[i]);  // becomes one instruction
  return y;
}

template <class T>
BP_INLINE void update_vector(const k::AdamW& p, const ladder::AdamWStep& step, const k::AdamW::Item& t, i64 i,
                             i64 n) {
  const float lr = step.lr * t.lr_scale;
  vf w = load(t.w + i, n), m = load(t.m + i, n), v = load(t.v + i, n);
  const vf g = step.grad_scale * load(static_cast<const T*>(t.grad) + i, n);
  w -= lr * t.decay * w;
  m += (1.0f - p.beta1) * (g - m);
  v += (1.0f - p.beta2) * (g * g - v);
  w -= lr * step.m_scale * m / (root(v) * step.v_scale + p.eps);
  store(t.w + i, w, n);
  store(t.m + i, m, n);
  store(t.v + i, v, n);
  if (t.copy) store(static_cast<T*>(t.copy) + i, w, n);
  if (!t.average) return;
  const vf average = load(t.average + i, n);
  store(t.average + i, average + step.average_step * (w - average), n);
}

// Numbers [begin, end) of a tensor. All by value: what is stored through pointers to float might else be
// taken for a change of them, and they would be read again for every vector.
static void update(k::AdamW p, ladder::AdamWStep step, k::AdamW::Item t, i64 begin, i64 end) {
  each_vector(end - begin, [&](i64 offset, i64 n) {
    const i64 i = begin + offset;
    if (t.grad) {
      t.dtype == DType::bf16 ? update_vector<bf16>(p, step, t, i, n) : update_vector<float>(p, step, t, i, n);
    } else if (t.average) {
      const vf average = load(t.average + i, n);
      store(t.average + i, average + step.average_step * (load(t.w + i, n) - average), n);
    }
  });
}
