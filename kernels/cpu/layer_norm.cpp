// LayerNorm over rows. Variance in a second pass over the row, which is in L1: a sum of squares minus the
// squared mean would lose all digits where the mean is large.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

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

template <class T>
void run(const k::LayerNorm& p) {
  const T *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  const i64 cols = p.cols;
  const float scale = 1.0f / static_cast<float>(cols);
  parallel_for(p.rows, std::max<i64>(1, 8192 / std::max<i64>(1, cols)), [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      const T* x = static_cast<const T*>(p.x) + r * cols;
      T* y = static_cast<T*>(p.y) + r * cols;
      const float mean = scale * sum_of(cols, [&](i64 i, i64 n) { return load(x + i, n); });
      const float variance = scale * sum_of(cols, [&](i64 i, i64 n) {
                               const vf d = load(x + i, n) - mean;
                               return d * d;
                             });
      const float rstd = 1.0f / __builtin_sqrtf(variance + p.eps);
      each_vector(cols, [&](i64 i, i64 n) {
        store(y + i, (load(x + i, n) - mean) * rstd * load(w + i, n) + load(b + i, n), n);
      });
      if (p.stats) {
        p.stats[2 * r] = mean;
        p.stats[2 * r + 1] = rstd;
      }
    }
  });
}

// Per row, with g = dy w and x' = (x - mean) rstd: dx = rstd (g - mean(g) - x' mean(g x')); dw += dy x', db
// += dy.
template <class T>
void run(const k::LayerNormBackward& p) {
  const T* w = static_cast<const T*>(p.w);
  const i64 cols = p.cols;
  const float scale = 1.0f / static_cast<float>(cols);
  const i64 chunk = std::max<i64>(16, (p.rows + 63) / 64), chunks = (p.rows + chunk - 1) / chunk;
  float* const partial = scratch<float>(0, chunks * 2 * cols);
  parallel_for(chunks, 1, [&](i64 first, i64 last) {
    for (i64 c = first; c < last; ++c) {
      float *dw = partial + c * 2 * cols, *db = dw + cols;
      for (i64 i = 0; i < 2 * cols; ++i) dw[i] = 0;
      for (i64 r = c * chunk; r < std::min(p.rows, (c + 1) * chunk); ++r) {
        const T *x = static_cast<const T*>(p.x) + r * cols, *dy = static_cast<const T*>(p.dy) + r * cols;
        const float mean = p.stats[2 * r], rstd = p.stats[2 * r + 1];
        const auto normal = [&](i64 i, i64 n) { return (load(x + i, n) - mean) * rstd; };
        if (p.dx) {
          T* dx = static_cast<T*>(p.dx) + r * cols;
          const float g =
              scale * sum_of(cols, [&](i64 i, i64 n) { return load(dy + i, n) * load(w + i, n); });
          const float gx = scale * sum_of(cols, [&](i64 i, i64 n) {
                             return load(dy + i, n) * load(w + i, n) * normal(i, n);
                           });
          each_vector(cols, [&](i64 i, i64 n) {
            store(dx + i, rstd * (load(dy + i, n) * load(w + i, n) - g - normal(i, n) * gx), n);
          });
        }
        if (p.dw || p.db)
          each_vector(cols, [&](i64 i, i64 n) {
            const vf d = load(dy + i, n);
            store(dw + i, load(dw + i, n) + d * normal(i, n), n);
            store(db + i, load(db + i, n) + d, n);
          });
      }
    }
  });
  const auto total = [&](void* to, const float* from) {
    if (!to) return;
    T* out = static_cast<T*>(to);
    for (i64 i = 0; i < cols; ++i) {
      float sum = 0;
      for (i64 c = 0; c < chunks; ++c) sum += from[c * 2 * cols + i];
      out[i] = from_f32<T>(sum);
    }
  };
  total(p.dw, partial);
  total(p.db, partial + cols);
}

}  // namespace

void layer_norm(const k::LayerNorm& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void layer_norm_backward(const k::LayerNormBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
