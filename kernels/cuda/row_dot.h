// Backward of what divides a row by a norm of itself: dx = f(y, dy, sum(y dy)). Floor: y and dy read, dx
// written once.
//
// F is a struct with `float of_row(i64 row)`, and `float operator()(float y, float dy, float dot, float
// of_row)`.
#pragma once
#include "kernels/cuda/rows.h"

namespace bp::cuda {

template <class T, class F>
struct RowDot {
  const T *y, *dy;
  T* dx;
  i64 rows, cols;
  F f;
};

template <class T, class F, int N, int Packs>
__global__ void __launch_bounds__(kThreads) row_dot_held(RowDot<T, F> a, int lanes) {
  each_row(a.rows, lanes, [&](const RowWalk& at) {
    const i64 cols = at.here ? a.cols : 0;
    Held<N, Packs> y, d;
    hold(y, a.y + at.row * a.cols, cols, at.lane, lanes);
    hold(d, a.dy + at.row * a.cols, cols, at.lane, lanes);
    const float given = at.here ? a.f.of_row(at.row) : 0.0f;
    float dot = 0;
    each_held<N, Packs>(cols, at.lane, lanes, [&](int p, int i, int) { dot += y.v[p][i] * d.v[p][i]; });
    dot = row_sum(dot, lanes);
    each_held<N, Packs>(cols, at.lane, lanes,
                        [&](int p, int i, int) { d.v[p][i] = a.f(y.v[p][i], d.v[p][i], dot, given); });
    put(d, a.dx + at.row * a.cols, cols, at.lane, lanes);
  });
}

template <class T, class F, int N>
__global__ void __launch_bounds__(kThreads) row_dot_long(RowDot<T, F> a) {
  BP_SHARED(float, scratch, 32);
  for (i64 row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const T *y = a.y + row * a.cols, *dy = a.dy + row * a.cols;
    T* dx = a.dx + row * a.cols;
    const float given = a.f.of_row(row);
    float dot = 0;
    walk_rows<N>(y, dy, a.cols, [&](const float(&u)[N], const float(&v)[N], i64) {
#pragma unroll
      for (int i = 0; i < N; ++i) dot += u[i] * v[i];
    });
    dot = block_sum(dot, scratch);
    walk_rows<N>(y, dy, a.cols, [&](const float(&u)[N], float(&v)[N], i64 column) {
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] = a.f(u[i], v[i], dot, given);
      store_floats(dx + column, v);
    });
  }
}

template <class T, class F>
void row_dot(const RowDot<T, F>& a) {
  if (a.rows == 0) return;
  const bool packed = packs<T>(a.cols, a.y, a.dy, a.dx);
  if (!is_held(a.cols, packed))
    return launch(packed ? row_dot_long<T, F, kPackOf<T>> : row_dot_long<T, F, 1>, grid_for(a.rows, 1),
                  kThreads, 0, a);
  with_held_row<T>(a.cols, packed, [&](auto n, auto each, int lanes) {
    launch(row_dot_held<T, F, decltype(n)::value, decltype(each)::value>, row_grid(a.rows, lanes), kThreads,
           0, a, lanes);
  });
}

}  // namespace bp::cuda
