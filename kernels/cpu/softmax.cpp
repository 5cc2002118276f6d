// Softmax over rows, and its backward.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/table.h"

namespace {

i64 rows_at_once(i64 cols) {
  return std::max<i64>(1, 8192 / std::max<i64>(1, cols));
}

template <class T>
float max_of(const T* x, i64 n) {
  vf m = splat(-__builtin_inff());
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) m = max(load(x + i), m);
  float result = max_lanes(m);
  for (; i < n; ++i) result = std::max(result, to_f32(x[i]));
  return result;
}

// y = x * scale, in y's type
template <class T>
void scaled(const float* x, float scale, T* y, i64 n) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, load(x + i) * scale);
  for (; i < n; ++i) y[i] = from_f32<T>(x[i] * scale);
}

// Rows of n numbers, which fit a vector: kLanes of them at a time, transposed, so that lanes are rows. Whole
// vectors are read and written where what follows a row is there to be read, or is written next.
template <int n, class T>
void run_narrow(const k::Softmax& p) {
  parallel_for((p.rows + kLanes - 1) / kLanes, 1024 / kLanes, [&](i64 begin, i64 end) {
    const i64 last = std::min(p.rows, end * kLanes);
    for (i64 first = begin * kLanes; first < last; first += kLanes) {
      const T* x = static_cast<const T*>(p.x) + first * n;
      T* y = static_cast<T*>(p.y) + first * n;
      const i64 rows = std::min<i64>(kLanes, last - first), left = (last - first) * n;
      vi square[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r)
        square[r] = r >= rows                ? vi{}
                    : r * n + kLanes <= left ? reinterpret_cast<vi>(load(x + r * n))
                                             : reinterpret_cast<vi>(load_part(x + r * n, n));
      transpose(square);
      vf e[n], total{};
      vf top = reinterpret_cast<vf>(square[0]);
#pragma GCC unroll 16
      for (int i = 1; i < n; ++i) top = max(reinterpret_cast<vf>(square[i]), top);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) total += e[i] = exp(reinterpret_cast<vf>(square[i]) - top);
      const vf scale = 1.0f / total;
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) square[i] = reinterpret_cast<vi>(e[i] * scale);
      transpose(square);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) {
        if (r >= rows) break;
        if (r * n + kLanes <= left)
          store(y + r * n, reinterpret_cast<vf>(square[r]));
        else
          store_part(y + r * n, reinterpret_cast<vf>(square[r]), n);
      }
    }
  });
}

// Calls run_narrow for n = p.cols.
template <class T, int n = kLanes>
void run_narrow_any(const k::Softmax& p) {
  if (p.cols == n) return run_narrow<n, T>(p);
  if constexpr (n > 1) run_narrow_any<T, n - 1>(p);
}

template <class T>
void run(const k::Softmax& p) {
  const i64 n = p.cols;
  if (n == 0) return;
  if (n <= kLanes) return run_narrow_any<T>(p);
  parallel_for(p.rows, rows_at_once(n), [&](i64 begin, i64 end) {
    float* e = scratch<float>(4, n + kLanes);
    for (i64 r = begin; r < end; ++r) {
      const T* x = static_cast<const T*>(p.x) + r * n;
      const float top = max_of(x, n);
      vf total{};
      i64 i = 0;
      for (; i + kLanes <= n; i += kLanes) {
        const vf v = exp(load(x + i) - top);
        total += v;
        store(e + i, v);
      }
      if (i < n) {
        const vf v = first_lanes(exp(load_part(x + i, n - i) - top), n - i);
        total += v;
        store(e + i, v);
      }
      scaled(e, 1.0f / sum_lanes(total), static_cast<T*>(p.y) + r * n, n);
    }
  });
}

template <class T>
void run(const k::SoftmaxBackward& p) {
  const i64 n = p.cols;
  parallel_for(p.rows, rows_at_once(n), [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      const T *y = static_cast<const T*>(p.y) + r * n, *dy = static_cast<const T*>(p.dy) + r * n;
      T* dx = static_cast<T*>(p.dx) + r * n;
      vf total{};
      i64 i = 0;
      for (; i + kLanes <= n; i += kLanes) total += load(y + i) * load(dy + i);
      if (i < n) total += load_part(y + i, n - i) * load_part(dy + i, n - i);
      const float dot = sum_lanes(total);
      for (i = 0; i + kLanes <= n; i += kLanes) store(dx + i, load(y + i) * (load(dy + i) - dot));
      if (i < n) store_part(dx + i, load_part(y + i, n - i) * (load_part(dy + i, n - i) - dot), n - i);
    }
  });
}

}  // namespace

void softmax(const k::Softmax& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void softmax_backward(const k::SoftmaxBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
