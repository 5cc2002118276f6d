// Softmax over rows. Floor: x read and y written once. Long rows take two passes: the largest value with the
// sum of exponentials relative to it, corrected when it changes (Milakov and Gimelshein, 2018); and the
// quotients.
#include "kernels/cuda/rows.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

__device__ __forceinline__ float infinity() {
  return __uint_as_float(0x7f800000u);
}

template <class T, int N, int Packs>
__global__ void __launch_bounds__(kThreads) held_rows(Softmax a, int lanes) {
  each_row(a.rows, lanes, [&](const RowWalk& at) {
    const i64 cols = at.here ? a.cols : 0;
    Held<N, Packs> x;
    hold(x, static_cast<const T*>(a.x) + at.row * a.cols, cols, at.lane, lanes);
    float top = -infinity(), sum = 0;
    each_held<N, Packs>(cols, at.lane, lanes, [&](int p, int i, int) { top = fmaxf(top, x.v[p][i]); });
    top = row_max(top, lanes);
    each_held<N, Packs>(cols, at.lane, lanes,
                        [&](int p, int i, int) { sum += x.v[p][i] = expf(x.v[p][i] - top); });
    const float share = 1 / row_sum(sum, lanes);
    each_held<N, Packs>(cols, at.lane, lanes, [&](int p, int i, int) { x.v[p][i] *= share; });
    put(x, static_cast<T*>(a.y) + at.row * a.cols, cols, at.lane, lanes);
  });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) long_rows(Softmax a) {
  BP_SHARED(float, scratch, 32);
  for (i64 row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(a.x) + row * a.cols;
    T* y = static_cast<T*>(a.y) + row * a.cols;
    float top = -infinity(), sum = 0;
    walk_row<N>(x, a.cols, [&](const float(&v)[N], i64) {
      float higher = top;
#pragma unroll
      for (int i = 0; i < N; ++i) higher = fmaxf(higher, v[i]);
      if (higher > top) sum *= expf(top - higher);
      top = higher;
#pragma unroll
      for (int i = 0; i < N; ++i) sum += expf(v[i] - top);
    });
    const float highest = block_max(top, scratch);
    const float share = 1 / block_sum(sum == 0 ? 0.0f : sum * expf(top - highest), scratch);
    walk_row<N>(x, a.cols, [&](float(&v)[N], i64 column) {
#pragma unroll
      for (int i = 0; i < N; ++i) v[i] = expf(v[i] - highest) * share;
      store_floats(y + column, v);
    });
  }
}

template <class T>
void run(const Softmax& a) {
  const bool packed = packs<T>(a.cols, a.x, a.y);
  if (!is_held(a.cols, packed))
    return launch(packed ? long_rows<T, kPackOf<T>> : long_rows<T, 1>, grid_for(a.rows, 1), kThreads, 0, a);
  with_held_row<T>(a.cols, packed, [&](auto n, auto each, int lanes) {
    launch(held_rows<T, decltype(n)::value, decltype(each)::value>, row_grid(a.rows, lanes), kThreads, 0, a,
           lanes);
  });
}

}  // namespace

void softmax(const Softmax& a) {
  if (a.rows == 0 || a.cols == 0) return;
  with_type(a.dtype, [&](auto element) { run<decltype(element)>(a); });
}

}  // namespace bp::cuda
