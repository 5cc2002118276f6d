// Rows divided by their Euclidean norm. Floor: x read and y written once.
#include "kernels/cuda/rows.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

__device__ __forceinline__ float divisor(float square, float eps) {
  const float norm = sqrtf(square);
  return norm < eps ? eps : norm;  // NaN stays
}

template <class T, int N, int Packs>
__global__ void __launch_bounds__(kThreads, 1) held_rows(L2Normalize a, int lanes) {
  each_row(a.rows, lanes, [&](const RowWalk& at) {
    const i64 cols = at.here ? a.cols : 0;
    Held<N, Packs> x;
    hold(x, static_cast<const T*>(a.x) + at.row * a.cols, cols, at.lane, lanes);
    float square = 0;
    each_held<N, Packs>(cols, at.lane, lanes, [&](int p, int i, int) { square += x.v[p][i] * x.v[p][i]; });
    const float norm = divisor(row_sum(square, lanes), a.eps), scale = 1 / norm;
    each_held<N, Packs>(cols, at.lane, lanes, [&](int p, int i, int) { x.v[p][i] *= scale; });
    put(x, static_cast<T*>(a.y) + at.row * a.cols, cols, at.lane, lanes);
    if (a.norms && at.here && at.lane == 0) a.norms[at.row] = norm;
  });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) long_rows(L2Normalize a) {
  BP_SHARED(float, scratch, 32);
  for (i64 row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(a.x) + row * a.cols;
    T* y = static_cast<T*>(a.y) + row * a.cols;
    float square = 0;
    walk_row<N>(x, a.cols, [&](const float(&v)[N], i64) {
#pragma unroll
      for (int i = 0; i < N; ++i) square += v[i] * v[i];
    });
    const float norm = divisor(block_sum(square, scratch), a.eps), scale = 1 / norm;
    walk_row<N>(x, a.cols, [&](float(&v)[N], i64 column) {
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] *= scale;
      store_floats(y + column, v);
    });
    if (a.norms && threadIdx.x == 0) a.norms[row] = norm;
  }
}

template <class T>
void run(const L2Normalize& a) {
  const bool packed = packs<T>(a.cols, a.x, a.y);
  if (!is_held(a.cols, packed))
    return launch(packed ? long_rows<T, kPackOf<T>> : long_rows<T, 1>, grid_for(a.rows, 1), kThreads, 0, a);
  with_held_row<T>(a.cols, packed, [&](auto n, auto each, int lanes) {
    launch(held_rows<T, decltype(n)::value, decltype(each)::value>, row_grid(a.rows, lanes), kThreads, 0, a,
           lanes);
  });
}

}  // namespace

void l2_normalize(const L2Normalize& a) {
  if (a.rows == 0) return;
  with_type(a.dtype, [&](auto element) { run<decltype(element)>(a); });
}

}  // namespace bp::cuda
