// LayerNorm of one row. Included inside a level's namespace, after simd.h.

namespace {

// Sum of term(i, n) over the row's vectors, where lanes from n on do not count.
template <class F>
BP_INLINE float sum_of(i64 cols, F term) {
  vf s[4] = {};
  i64 i = 0;
  for (; i + 4 * kLanes <= cols; i += 4 * kLanes)
    for (int j = 0; j < 4; ++j) s[j] += term(i + j * kLanes, kLanes);
  for (; i + kLanes <= cols; i += kLanes) s[0] += term(i, kLanes);
  if (i < cols) s[1] += first_lanes(term(i, cols - i), cols - i);
  return sum_lanes((s[0] + s[1]) + (s[2] + s[3]));
}

struct Moments {
  float mean, rstd;
};

// y = (x - mean) rstd w + b. Variance in a second pass over the row, which is in L1: a sum of squares minus
// the squared mean would lose all digits where the mean is large.
template <class From, class W, class T>
BP_INLINE Moments normalize_row(const From* x, const W* w, const W* b, i64 cols, float eps, T* y) {
  const float scale = 1.0f / static_cast<float>(cols);
  const float mean = scale * sum_of(cols, [&](i64 i, i64 n) { return load(x + i, n); });
  const float variance = scale * sum_of(cols, [&](i64 i, i64 n) {
                           const vf d = load(x + i, n) - mean;
                           return d * d;
                         });
  const float rstd = 1.0f / __builtin_sqrtf(variance + eps);
  each_vector(cols, [&](i64 i, i64 n) {
    store(y + i, (load(x + i, n) - mean) * rstd * load(w + i, n) + load(b + i, n), n);
  });
  return {mean, rstd};
}

}  // namespace
