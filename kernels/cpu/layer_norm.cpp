// LayerNorm over rows and its gradients.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

#include "kernels/cpu/layer_norm_row.h"

namespace {

template <class T>
void run(const k::LayerNorm& p) {
  const T *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  const i64 cols = p.cols;
  parallel_for(p.rows, std::max<i64>(1, 8192 / std::max<i64>(1, cols)), [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      const Moments m = normalize_row(static_cast<const T*>(p.x) + r * cols, w, b, cols, p.eps,
                                      static_cast<T*>(p.y) + r * cols);
      if (p.stats) {
        p.stats[2 * r] = m.mean;
        p.stats[2 * r + 1] = m.rstd;
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
