// LayerNorm of a row in vectors. Included inside a level's namespace, after kernels/cpu/simd.h (vf is a
// vector of kLanes floats).

// The sum of term(i, n) over a row's vectors of n numbers: four sums by turns, so that no addition waits for
// the one before.
template <class Term>
BP_INLINE float sum_row(i64 cols, const Term& term) {
  vf sum[4] = {};
  i64 i = 0;
  for (; i + 4 * kLanes <= cols; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sum[j] += term(i + j * kLanes, kLanes);
  for (; i + kLanes <= cols; i += kLanes) sum[0] += term(i, kLanes);
  if (i < cols) sum[1] += first_lanes(term(i, cols - i), cols - i);
  return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// Row r, its results given to put(y, i, vector, n) for numbers i .. i + n of the row y.
template <class T, class Each, class Put>
BP_INLINE void normalise_row(const k::LayerNorm& p, i64 r, const Each& each, const Put& put) {
  const T *const w = static_cast<const T*>(p.w), *const b = static_cast<const T*>(p.b);
  const T* const x = static_cast<const T*>(p.x) + r * p.cols;
  T* const y = static_cast<T*>(p.y) + r * p.cols;
  const float share = 1.0f / static_cast<float>(p.cols);
  const float mean = share * sum_row(p.cols, [&](i64 i, i64 n) { return load(x + i, n); });
  const float variance = share * sum_row(p.cols, [&](i64 i, i64 n) {
                           const vf d = load(x + i, n) - mean;
                           return d * d;
                         });
  const float rstd = 1.0f / __builtin_sqrtf(variance + p.eps);
  each(y, p.cols, [&](i64 i, i64 n) {
    put(y + i, (load(x + i, n) - mean) * rstd * load(w + i, n) + load(b + i, n), n);
  });
  if (p.stats) p.stats[2 * r] = mean, p.stats[2 * r + 1] = rstd;
}

template <class T>
static void normalise_rows(const k::LayerNorm& p, i64 begin, i64 end) {
  for (i64 r = begin; r < end; ++r)
    normalise_row<T>(
        p, r, [](T*, i64 cols, const auto& body) { each_vector(cols, body); },
        [](T* y, vf v, i64 n) { store(y, v, n); });
}
