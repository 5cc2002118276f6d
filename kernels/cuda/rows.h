// Kernels over the rows of a matrix. Rows that are not long are held in the registers of up to 32 lanes of a
// warp, so that they are read once; short rows share a warp. Long ones are walked over by a whole block,
// again from the caches for every pass.
#pragma once
#include <type_traits>

#include "kernels/cuda/elementwise.h"

namespace bp::cuda {

// Whether a row is held: up to ViT-H's 1280 elements, 256 where they are not loaded in packs.
inline bool is_held(i64 cols, bool packed) {
  return cols <= (packed ? 1280 : 256);
}

// Which row a lane works on. All lanes of a block take as many steps.
struct RowWalk {
  i64 row;
  int lane;  // of the row's
  bool here;
};
// Calls body(RowWalk) for the rows of this block; `lanes` to a row, a power of 2.
template <class F>
__device__ __forceinline__ void each_row(i64 rows, int lanes, F body) {
  const int thread = static_cast<int>(threadIdx.x), together = kThreads / lanes, mine = thread / lanes;
  for (i64 first = static_cast<i64>(blockIdx.x) * together; first < rows;
       first += static_cast<i64>(gridDim.x) * together)
    body(RowWalk{first + mine, thread % lanes, first + mine < rows});
}

// Sum and maximum over the lanes of a row, the same in all of them.
__device__ __forceinline__ float row_sum(float x, int lanes) {
  for (int with = lanes / 2; with > 0; with /= 2) x += __shfl_xor_sync(kFullMask, x, with);
  return x;
}
__device__ __forceinline__ float row_max(float x, int lanes) {
  for (int with = lanes / 2; with > 0; with /= 2) x = fmaxf(x, __shfl_xor_sync(kFullMask, x, with));
  return x;
}

// The largest x of a block, the same in every thread; `scratch` as for block_sum.
__device__ __forceinline__ float block_max(float x, float* scratch) {
  const unsigned warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  x = warp_max(x);
  __syncthreads();  // what a call before this one left there has been read
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  return warp_max(scratch[lane % (kThreads / kWarpSize)]);
}

// A lane's part of a row: packs lane, lane + lanes, ... of N elements, 0 beyond the row.
template <int N, int Packs>
struct Held {
  float v[Packs][N] = {};
};
// f(p, column) for the packs of a lane that lie in the row.
template <int N, int Packs, class F>
__device__ __forceinline__ void each_pack(i64 cols, int lane, int lanes, F f) {
#pragma unroll
  for (int p = 0; p < Packs; ++p) {
    const int column = (p * lanes + lane) * N;
    if (column < cols) f(p, column);
  }
}
// f(p, i, column) for the elements of a lane that lie in the row.
template <int N, int Packs, class F>
__device__ __forceinline__ void each_held(i64 cols, int lane, int lanes, F f) {
  each_pack<N, Packs>(cols, lane, lanes, [&](int p, int column) {
#pragma unroll
    for (int i = 0; i < N; ++i) f(p, i, column + i);
  });
}
template <int N, int Packs, class T>
__device__ __forceinline__ void hold(Held<N, Packs>& x, const T* row, i64 cols, int lane, int lanes) {
  each_pack<N, Packs>(cols, lane, lanes, [&](int p, int column) { load_floats(row + column, x.v[p]); });
}
template <int N, int Packs, class T>
__device__ __forceinline__ void put(const Held<N, Packs>& x, T* row, i64 cols, int lane, int lanes) {
  each_pack<N, Packs>(cols, lane, lanes, [&](int p, int column) { store_floats(row + column, x.v[p]); });
}

template <int N>
using Constant = std::integral_constant<int, N>;

// Calls f(N, Packs, lanes), the first two as constants, for rows of `cols` elements of type T that are held.
// There are few sizes of Packs, since each is a kernel of its own.
template <class T, class F>
void with_held_row(i64 cols, bool packed, const F& f) {
  const int packs = static_cast<int>(ceil_div(cols, packed ? kPackOf<T> : 1));
  int lanes = 1;
  while (lanes < kWarpSize && lanes < packs) lanes *= 2;
  const int each = (packs + lanes - 1) / lanes;
  if (!packed) {
    const Constant<1> n;
    each <= 1 ? f(n, Constant<1>{}, lanes) : f(n, Constant<8>{}, lanes);
  } else if constexpr (kPackOf<T> == 8) {
    const Constant<8> n;
    each <= 1   ? f(n, Constant<1>{}, lanes)
    : each <= 2 ? f(n, Constant<2>{}, lanes)
    : each <= 3 ? f(n, Constant<3>{}, lanes)
                : f(n, Constant<5>{}, lanes);
  } else {
    const Constant<4> n;
    each <= 1   ? f(n, Constant<1>{}, lanes)
    : each <= 3 ? f(n, Constant<3>{}, lanes)
    : each <= 6 ? f(n, Constant<6>{}, lanes)
                : f(n, Constant<10>{}, lanes);
  }
}

// The grid for rows of `lanes` lanes each.
inline unsigned row_grid(i64 rows, int lanes) {
  return grid_for(rows, kThreads / lanes, 8 * multiprocessors());
}

// For a row that a block walks over: f(values, column) with N elements at a time, loaded from x.
template <int N, class T, class F>
__device__ __forceinline__ void walk_row(const T* x, i64 cols, F f) {
  for (i64 column = threadIdx.x * N; column < cols; column += kThreads * N) {
    float v[N];
    load_floats(x + column, v);
    f(v, column);
  }
}
// The same over two rows.
template <int N, class T, class F>
__device__ __forceinline__ void walk_rows(const T* x, const T* y, i64 cols, F f) {
  for (i64 column = threadIdx.x * N; column < cols; column += kThreads * N) {
    float u[N], v[N];
    load_floats(x + column, u);
    load_floats(y + column, v);
    f(u, v, column);
  }
}

}  // namespace bp::cuda
