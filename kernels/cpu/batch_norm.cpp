// BatchNorm over rows of channels. The rows are cut into chunks that stay in cache, by the shape alone; a
// chunk's mean and squared deviations are taken in two passes over it, and chunks are joined in order by the
// formulas of Chan, Golub and LeVeque (1979): a sum of squares minus the squared mean would lose all digits
// where the mean is large.
#include <algorithm>

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
};

// Sum of term(r) over rows.
template <class F>
BP_INLINE vf sum_rows(i64 rows, F term) {
  vf s[4] = {};
  i64 r = 0;
  for (; r + 4 <= rows; r += 4)
    for (int j = 0; j < 4; ++j) s[j] += term(r + j);
  for (; r < rows; ++r) s[0] += term(r);
  return (s[0] + s[1]) + (s[2] + s[3]);
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
      each_vector(cols, [&](i64 i, i64 n) {
        const vf mean = sum_rows(rows, [&](i64 r) { return load(x + r * cols + i, n); }) *
                        (1.0f / static_cast<float>(rows));
        const vf square = sum_rows(rows, [&](i64 r) {
          const vf d = load(x + r * cols + i, n) - mean;
          return d * d;
        });
        store(means + i, mean, n);
        store(squares + i, square, n);
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
  const float *mean = p.stats, *rstd = p.stats + cols;
  const T *w = static_cast<const T*>(p.w), *b = static_cast<const T*>(p.b);
  const Chunks chunks(p.rows, cols);
  parallel_for(chunks.count, 1, [&](i64 begin, i64 end) {
    for (i64 r = chunks.first(begin); r < std::min(p.rows, chunks.first(end)); ++r) {
      const T* x = static_cast<const T*>(p.x) + r * cols;
      T* y = static_cast<T*>(p.y) + r * cols;
      each_vector(cols, [&](i64 i, i64 n) {
        const vf scale = load(rstd + i, n) * load(w + i, n);
        store(y + i, (load(x + i, n) - load(mean + i, n)) * scale + load(b + i, n), n);
      });
    }
  });
}

// With x' = (x - mean) rstd: db = sum(dy), dw = sum(dy x'), and dx = w rstd (dy - mean(dy) - x' mean(dy x'))
// where mean and rstd are those of the batch, else w rstd dy.
template <class T>
void run(const k::BatchNormBackward& p) {
  const i64 cols = p.cols;
  const float *mean = p.stats, *rstd = p.stats + cols;
  const Chunks chunks(p.rows, cols);
  float* const partial = scratch<float>(0, chunks.count * 2 * cols);  // per chunk: sums of dy, of dy x'
  float *const sum_dy = scratch<float>(1, 2 * cols), *const sum_dyx = sum_dy + cols;
  parallel_for(chunks.count, 1, [&](i64 begin, i64 end) {
    for (i64 c = begin; c < end; ++c) {
      const i64 from = chunks.first(c) * cols, rows = chunks.length(c);
      const T *x = static_cast<const T*>(p.x) + from, *dy = static_cast<const T*>(p.dy) + from;
      float *sums = partial + c * 2 * cols, *products = sums + cols;
      each_vector(cols, [&](i64 i, i64 n) {
        const vf m = load(mean + i, n);
        store(sums + i, sum_rows(rows, [&](i64 r) { return load(dy + r * cols + i, n); }), n);
        const vf product = sum_rows(
            rows, [&](i64 r) { return load(dy + r * cols + i, n) * (load(x + r * cols + i, n) - m); });
        store(products + i, product * load(rstd + i, n), n);
      });
    }
  });
  parallel_for(2 * cols, 64, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      float sum = 0;
      for (i64 c = 0; c < chunks.count; ++c) sum += partial[c * 2 * cols + i];
      sum_dy[i] = sum;
    }
  });
  for (i64 i = 0; i < cols; ++i) {
    if (p.db) static_cast<T*>(p.db)[i] = from_f32<T>(sum_dy[i]);
    if (p.dw) static_cast<T*>(p.dw)[i] = from_f32<T>(sum_dyx[i]);
  }
  if (!p.dx) return;
  const T* w = static_cast<const T*>(p.w);
  const float share = p.training ? 1.0f / static_cast<float>(p.rows) : 0.0f;
  parallel_for(chunks.count, 1, [&](i64 begin, i64 end) {
    for (i64 r = chunks.first(begin); r < std::min(p.rows, chunks.first(end)); ++r) {
      const T *x = static_cast<const T*>(p.x) + r * cols, *dy = static_cast<const T*>(p.dy) + r * cols;
      T* dx = static_cast<T*>(p.dx) + r * cols;
      each_vector(cols, [&](i64 i, i64 n) {
        const vf s = load(rstd + i, n), normal = (load(x + i, n) - load(mean + i, n)) * s;
        const vf through = share * (load(sum_dy + i, n) + normal * load(sum_dyx + i, n));
        store(dx + i, load(w + i, n) * s * (load(dy + i, n) - through), n);
      });
    }
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
