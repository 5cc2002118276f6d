// LayerNorm over rows. Floor: x read and y written once. The variance comes from a second pass over the
// row's registers (long rows: from the caches): a sum of squares minus the squared mean would lose all digits
// where the mean is large.
#include "kernels/cuda/rows.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

__device__ __forceinline__ float reciprocal_deviation(float variance, float eps) {
  return 1 / sqrtf(variance + eps);
}

template <class T, int N>
__device__ __forceinline__ void normalize(float (&v)[N], const T* w, const T* b, float mean, float rstd) {
  float weight[N], bias[N];
  load_floats(w, weight);
  load_floats(b, bias);
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = (v[i] - mean) * rstd * weight[i] + bias[i];
}

template <class T, int N, int Packs>
__global__ void __launch_bounds__(kThreads) held_rows(LayerNorm a, int lanes) {
  const T *w = static_cast<const T*>(a.w), *b = static_cast<const T*>(a.b);
  const float share = 1 / static_cast<float>(a.cols);
  each_row(a.rows, lanes, [&](const RowWalk& at) {
    const i64 cols = at.here ? a.cols : 0;
    Held<N, Packs> x;
    hold(x, static_cast<const T*>(a.x) + at.row * a.cols, cols, at.lane, lanes);
    float sum = 0, square = 0;
    each_held<N, Packs>(cols, at.lane, lanes, [&](int p, int i, int) { sum += x.v[p][i]; });
    const float mean = share * row_sum(sum, lanes);
    each_held<N, Packs>(cols, at.lane, lanes, [&](int p, int i, int) {
      const float d = x.v[p][i] - mean;
      square += d * d;
    });
    const float rstd = reciprocal_deviation(share * row_sum(square, lanes), a.eps);
    each_pack<N, Packs>(cols, at.lane, lanes,
                        [&](int p, int column) { normalize(x.v[p], w + column, b + column, mean, rstd); });
    put(x, static_cast<T*>(a.y) + at.row * a.cols, cols, at.lane, lanes);
    if (a.stats && at.here && at.lane == 0) {
      a.stats[2 * at.row] = mean;
      a.stats[2 * at.row + 1] = rstd;
    }
  });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) long_rows(LayerNorm a) {
  BP_SHARED(float, scratch, 32);
  const T *w = static_cast<const T*>(a.w), *b = static_cast<const T*>(a.b);
  const float share = 1 / static_cast<float>(a.cols);
  for (i64 row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(a.x) + row * a.cols;
    T* y = static_cast<T*>(a.y) + row * a.cols;
    float sum = 0, square = 0;
    walk_row<N>(x, a.cols, [&](const float(&v)[N], i64) {
#pragma unroll
      for (int i = 0; i < N; ++i) sum += v[i];
    });
    const float mean = share * block_sum(sum, scratch);
    walk_row<N>(x, a.cols, [&](const float(&v)[N], i64) {
#pragma unroll
      for (int i = 0; i < N; ++i) square += (v[i] - mean) * (v[i] - mean);
    });
    const float rstd = reciprocal_deviation(share * block_sum(square, scratch), a.eps);
    walk_row<N>(x, a.cols, [&](float(&v)[N], i64 column) {
      normalize(v, w + column, b + column, mean, rstd);
      store_floats(y + column, v);
    });
    if (a.stats && threadIdx.x == 0) {
      a.stats[2 * row] = mean;
      a.stats[2 * row + 1] = rstd;
    }
  }
}

template <class T>
void run(const LayerNorm& a) {
  const bool packed = packs<T>(a.cols, a.x, a.w, a.b, a.y);
  if (!is_held(a.cols, packed))
    return launch(packed ? long_rows<T, kPackOf<T>> : long_rows<T, 1>, grid_for(a.rows, 1), kThreads, 0, a);
  with_held_row<T>(a.cols, packed, [&](auto n, auto each, int lanes) {
    launch(held_rows<T, decltype(n)::value, decltype(each)::value>, row_grid(a.rows, lanes), kThreads, 0, a,
           lanes);
  });
}

}  // namespace

void layer_norm(const LayerNorm& a) {
  if (a.rows == 0) return;
  with_type(a.dtype, [&](auto element) { run<decltype(element)>(a); });
}

}  // namespace bp::cuda
