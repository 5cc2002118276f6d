// BatchNorm over rows of channels, and an activation after it. The rows are cut into chunks that stay in
// cache, by the shape alone; a chunk's mean and squared deviations are taken in two passes over it, and
// chunks are joined in order by the formulas of Chan, Golub and LeVeque (1979): a sum of squares minus the
// squared mean would lose all digits where the mean is large.
#include <algorithm>
#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

struct Chunks {
  i64 rows, size, count;
  Chunks(i64 all, i64 cols)
      : rows(all),
        size(std::max<i64>(16, std::min((all + 63) / 64, 65536 / std::max<i64>(1, cols)))),
        count((all + size - 1) / size) {}
  i64 first(i64 chunk) const { return chunk * size; }
  i64 length(i64 chunk) const { return std::min(size, rows - chunk * size); }

  // Calls body(first row, rows) for all chunks, the last ones first: of what the pass before has read, those
  // are in the cache still.
  template <class F>
  void backwards(const F& body) const {
    parallel_for(count, 1, [&](i64 begin, i64 end) {
      for (i64 c = count - end; c < count - begin; ++c) body(first(c), length(c));
      past_fence();
    });
  }
};

// Calls body(i, vectors, n) for the columns from i: `vectors` (a constant: 8, 4, 2 or 1) whole vectors, or
// one of the first n lanes. Many together read the lines of memory in the order in which they lie.
template <int vectors = 8, class F>
BP_INLINE void each_columns(i64 cols, F body, i64 i = 0) {
  constexpr std::integral_constant<int, vectors> together;
  for (; i + vectors * kLanes <= cols; i += vectors * kLanes) body(i, together, kLanes);
  if constexpr (vectors > 1)
    each_columns<vectors / 2>(cols, body, i);
  else if (i < cols)
    body(i, together, cols - i);
}

// Mean and reciprocal deviation of all rows to stats, the running statistics moved towards them.
template <class T>
void batch_statistics(const k::BatchNorm& p) {
  const i64 cols = p.cols;
  const Chunks chunks(p.rows, cols);
  float* const partial = scratch<float>(0, chunks.count * 2 * cols);  // per chunk: means, squared deviations
  parallel_for(chunks.count, 1, [&](i64 begin, i64 end) {
    for (i64 c = begin; c < end; ++c) {
      const T* x = static_cast<const T*>(p.x) + chunks.first(c) * cols;
      const i64 rows = chunks.length(c);
      float *means = partial + c * 2 * cols, *squares = means + cols;
      each_columns(cols, [&](i64 i, auto vectors, i64 n) {
        // Sums are of differences from the first row, which are small where the mean is large.
        vf start[vectors], mean[vectors] = {}, square[vectors] = {};
        for (int v = 0; v < vectors; ++v) start[v] = load(x + i + v * kLanes, n);
        for (i64 r = 1; r < rows; ++r)
          for (int v = 0; v < vectors; ++v) mean[v] += load(x + r * cols + i + v * kLanes, n) - start[v];
        for (int v = 0; v < vectors; ++v) mean[v] = start[v] + mean[v] * (1.0f / static_cast<float>(rows));
        for (i64 r = 0; r < rows; ++r)
          for (int v = 0; v < vectors; ++v) {
            const vf d = load(x + r * cols + i + v * kLanes, n) - mean[v];
            square[v] += d * d;
          }
        for (int v = 0; v < vectors; ++v) {
          store(means + i + v * kLanes, mean[v], n);
          store(squares + i + v * kLanes, square[v], n);
        }
      });
    }
  });
  const double all = static_cast<double>(p.rows);
  parallel_for(cols, 64, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      double mean = 0, square = 0;
      for (i64 c = 0; c < chunks.count; ++c)
        mean += static_cast<double>(chunks.length(c)) / all * static_cast<double>(partial[c * 2 * cols + i]);
      for (i64 c = 0; c < chunks.count; ++c) {
        const double d = static_cast<double>(partial[c * 2 * cols + i]) - mean;
        square += static_cast<double>(partial[(c * 2 + 1) * cols + i]) +
                  d * d * static_cast<double>(chunks.length(c));
      }
      p.stats[i] = static_cast<float>(mean);
      p.stats[cols + i] = static_cast<float>(1 / __builtin_sqrt(square / all + static_cast<double>(p.eps)));
      p.running_mean[i] += p.momentum * (static_cast<float>(mean) - p.running_mean[i]);
      p.running_var[i] += p.momentum * (static_cast<float>(square / (all - 1)) - p.running_var[i]);
    }
  });
}

// f(activation).
template <class F>
BP_INLINE void with_activation(k::Act act, F f) {
  if (act == k::Act::gelu)
    f([](vf x) { return gelu(x); });
  else if (act == k::Act::relu)
    f([](vf x) { return relu(x); });
  else
    f([](vf x) { return x; });
}

template <class T>
void run(const k::BatchNorm& p) {
  const i64 cols = p.cols;
  if (p.training) {
    batch_statistics<T>(p);
  } else {
    for (i64 i = 0; i < cols; ++i) {
      p.stats[i] = p.running_mean[i];
      p.stats[cols + i] = 1 / __builtin_sqrtf(p.running_var[i] + p.eps);
    }
  }
  const T *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  const float* const mean = p.stats;
  float *const scale = scratch<float>(1, 2 * cols), *const bias = scale + cols;
  for (i64 i = 0; i < cols; ++i) scale[i] = p.stats[cols + i] * to_f32(w[i]), bias[i] = to_f32(b[i]);
  const Chunks chunks(p.rows, cols);
  const bool past_caches = streams(static_cast<T*>(p.y), p.rows * cols, cols);
  with_activation(p.act, [&](auto activation) {
    chunks.backwards([&](i64 first, i64 rows) {
      for (i64 r = first; r < first + rows; ++r) {
        const T* x = static_cast<const T*>(p.x) + r * cols;
        T* y = static_cast<T*>(p.y) + r * cols;
        const auto value = [&](i64 i, i64 n) __attribute__((always_inline)) {
          return activation((load(x + i, n) - load(mean + i, n)) * load(scale + i, n) + load(bias + i, n));
        };
        if (past_caches)
          for (i64 i = 0; i < cols; i += kLanes) store_past(y + i, value(i, kLanes));
        else
          each_vector(cols, [&](i64 i, i64 n) { store(y + i, value(i, n), n); });
      }
    });
  });
}

// f(derivative of act).
template <class F>
BP_INLINE void with_slope(k::Act act, F f) {
  if (act == k::Act::gelu)
    f([](vf x) { return gelu_slope(x); });
  else if (act == k::Act::relu)
    f([](vf x) { return relu_slope(x); });
  else
    f([](vf) { return splat(1.0f); });
}

// Sums [2,cols] over a chunk of rows, of g = dy act'(x' w + b) and of g (x - mean).
template <class T, class Slope>
void chunk_sums(const k::BatchNormBackward& p, i64 first, i64 rows, Slope slope, float* sums) {
  const i64 cols = p.cols;
  const T *x = static_cast<const T*>(p.x) + first * cols, *dy = static_cast<const T*>(p.dy) + first * cols;
  const T *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  each_columns(cols, [&](i64 i, auto vectors, i64 n) {
    vf mean[vectors], scale[vectors], bias[vectors], sum[vectors] = {}, product[vectors] = {};
    for (int v = 0; v < vectors; ++v) {
      const i64 at = i + v * kLanes;
      mean[v] = load(p.stats + at, n), scale[v] = load(p.stats + cols + at, n) * load(w + at, n);
      bias[v] = load(b + at, n);
    }
    for (i64 r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v) {
        const i64 at = r * cols + i + v * kLanes;
        const vf centred = load(x + at, n) - mean[v];
        const vf d = load(dy + at, n) * slope(centred * scale[v] + bias[v]);
        sum[v] += d;
        product[v] += d * centred;
      }
    for (int v = 0; v < vectors; ++v) {
      store(sums + i + v * kLanes, sum[v], n);
      store(sums + cols + i + v * kLanes, product[v], n);
    }
  });
}

// With x' = (x - mean) rstd and g = dy act'(x' w + b): db = sum(g), dw = sum(g x'), and dx = w rstd (g -
// mean(g) - x' mean(g x')) where mean and rstd are those of the batch, else w rstd g. The second pass takes
// the slope again: that costs less than writing g and reading it. What it multiplies by is made once per
// channel: dx = scale g - (x - mean) slant - offset.
template <class T>
void run(const k::BatchNormBackward& p) {
  const i64 cols = p.cols;
  const T *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  const float *mean = p.stats, *rstd = p.stats + cols;
  const Chunks chunks(p.rows, cols);
  float* const partial = scratch<float>(0, chunks.count * 2 * cols);
  with_slope(p.act, [&](auto slope) {
    parallel_for(chunks.count, 1, [&](i64 begin, i64 end) {
      for (i64 c = begin; c < end; ++c)
        chunk_sums<T>(p, chunks.first(c), chunks.length(c), slope, partial + c * 2 * cols);
    });
  });
  float *const sums = scratch<float>(1, 6 * cols), *const scale = sums + 2 * cols, *const bias = scale + cols,
               *const slant = bias + cols, *const offset = slant + cols;
  parallel_for(2 * cols, 64, [&](i64 begin, i64 end) {
    each_vector(end - begin, [&](i64 i, i64 n) {
      vf sum{};
      for (i64 c = 0; c < chunks.count; ++c) sum += load(partial + c * 2 * cols + begin + i, n);
      store(sums + begin + i, sum, n);
    });
  });
  const float share = p.training ? 1.0f / static_cast<float>(p.rows) : 0.0f;
  for (i64 i = 0; i < cols; ++i) {
    const float sum_g = sums[i], sum_gx = sums[cols + i] * rstd[i];
    if (p.db) static_cast<T*>(p.db)[i] = from_f32<T>(sum_g);
    if (p.dw) static_cast<T*>(p.dw)[i] = from_f32<T>(sum_gx);
    scale[i] = rstd[i] * to_f32(w[i]), bias[i] = to_f32(b[i]);
    slant[i] = scale[i] * rstd[i] * (share * sum_gx), offset[i] = scale[i] * (share * sum_g);
  }
  if (!p.dx) return;
  const bool past_caches = streams(static_cast<T*>(p.dx), p.rows * cols, cols);
  with_slope(p.act, [&](auto slope) {
    chunks.backwards([&](i64 first, i64 rows) {
      for (i64 r = first; r < first + rows; ++r) {
        const T *x = static_cast<const T*>(p.x) + r * cols, *dy = static_cast<const T*>(p.dy) + r * cols;
        T* dx = static_cast<T*>(p.dx) + r * cols;
        const auto value = [&](i64 i, i64 n) __attribute__((always_inline)) {
          const vf centred = load(x + i, n) - load(mean + i, n), multiplier = load(scale + i, n);
          const vf g = load(dy + i, n) * slope(centred * multiplier + load(bias + i, n));
          return multiplier * g - (centred * load(slant + i, n) + load(offset + i, n));
        };
        if (past_caches)
          for (i64 i = 0; i < cols; i += kLanes) store_past(dx + i, value(i, kLanes));
        else
          each_vector(cols, [&](i64 i, i64 n) { store(dx + i, value(i, n), n); });
      }
    });
  });
}

}  // namespace

void batch_norm(const k::BatchNorm& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void batch_norm_backward(const k::BatchNormBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
