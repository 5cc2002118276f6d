// What the rungs of this ladder compute, and what they share:
//   C[r, c] = alpha sum over d of A[r, d] B(d, c) + bias[c]
// with A [m,k] and B either [k,n] or, TB, [n,k] as the weight of a linear layer lies.
#pragma once
#include "kernels/cuda/tile.h"
#include "kernels/ladders/cuda/matmul/rungs.h"

namespace bp::cuda::matmul_rungs {

template <class T>
struct Product {
  const T *a, *b, *bias;  // bias may be null
  T* c;
  int m, n, k;
  i64 lda, ldb, ldc;
  float alpha;
};

// No rung takes batches, a transposed A, accumulation, activation or residual.
inline bool plain(const Matmul& p) {
  constexpr i64 kMost = i64{1} << 30;
  return p.batch == 1 && !p.ta && !p.accumulate && !p.residual && p.act == Act::none && p.m <= kMost &&
         p.n <= kMost && p.k <= kMost;
}

template <class T>
Product<T> product_of(const Matmul& p) {
  return {static_cast<const T*>(p.a),
          static_cast<const T*>(p.b),
          static_cast<const T*>(p.bias),
          static_cast<T*>(p.c),
          static_cast<int>(p.m),
          static_cast<int>(p.n),
          static_cast<int>(p.k),
          p.lda,
          p.ldb,
          p.ldc,
          p.alpha};
}

template <class T>
__device__ __forceinline__ float result(const Product<T>& p, int column, float sum) {
  return p.alpha * sum + (p.bias ? load_f32(p.bias[column]) : 0.0f);
}

// Where a tile of C begins. Tiles that are computed at the same time shall share rows of A and columns of B
// in the L2 cache: their numbers go down eight tiles, then right.
struct Corner {
  int row, column;
};
template <int Rows, int Columns, class T>
__device__ __forceinline__ Corner corner_of(const Product<T>& p, unsigned tile) {
  constexpr unsigned kTogether = 8;
  const unsigned down = static_cast<unsigned>((p.m + Rows - 1) / Rows);
  const unsigned across = static_cast<unsigned>((p.n + Columns - 1) / Columns);
  const unsigned first = tile / (kTogether * across) * kTogether, in_strip = tile % (kTogether * across);
  const unsigned rows = down - first < kTogether ? down - first : kTogether;
  return {static_cast<int>(first + in_strip % rows) * Rows, static_cast<int>(in_strip / rows) * Columns};
}
template <int Rows, int Columns>
unsigned tiles_of(const Matmul& p) {
  return static_cast<unsigned>(ceil_div(p.m, Rows) * ceil_div(p.n, Columns));
}

// Whether rows can be read in packs of N from every Nth column on.
template <int N, class T>
bool packed(const T* matrix, i64 stride) {
  return reinterpret_cast<std::uintptr_t>(matrix) % (N * sizeof(T)) == 0 && stride % N == 0;
}
// N elements of a row, of which `inside` (any number) exist; the others are zeros.
template <int N, class T>
__device__ __forceinline__ Pack<T, N> load_inside(const T* from, int inside, bool packed) {
  if (packed && inside >= N) return load_pack<N>(from);
  Pack<T, N> x{};
#pragma unroll
  for (int e = 0; e < N; ++e)
    if (e < inside) x.v[e] = from[e];
  return x;
}
template <int N, class T>
__device__ __forceinline__ void store_inside(T* to, const Pack<T, N>& x, int inside, bool packed) {
  if (packed && inside >= N) return store_pack<N>(to, x);
#pragma unroll
  for (int e = 0; e < N; ++e)
    if (e < inside) to[e] = x.v[e];
}

}  // namespace bp::cuda::matmul_rungs
