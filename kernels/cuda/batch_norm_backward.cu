// With x' = (x - mean) rstd and g = dy act'(x' w + b): db = sum(g), dw = sum(g x'), and dx = w rstd (g -
// mean(g) - x' mean(g x')) where mean and rstd are those of the batch, else w rstd g. Floor: x and dy read
// twice, dx written once. Both passes compute g, which is cheaper than to keep it.
#include "kernels/cuda/columns.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

// What belongs to a thread's columns, and g and x' of N elements.
template <class T, int N, Act Activation>
struct Columns {
  float w[N], b[N], mean[N], rstd[N];

  __device__ __forceinline__ Columns(const BatchNormBackward& a, i64 column) {
    load_floats(static_cast<const T*>(a.w) + column, w);
    load_floats(static_cast<const T*>(a.b) + column, b);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      mean[i] = a.stats[column + i];
      rstd[i] = a.stats[a.cols + column + i];
    }
  }
  // v becomes x', d becomes g
  __device__ __forceinline__ void load(const BatchNormBackward& a, i64 at, float (&v)[N],
                                       float (&d)[N]) const {
    load_floats(static_cast<const T*>(a.x) + at, v);
    load_floats(static_cast<const T*>(a.dy) + at, d);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      v[i] = (v[i] - mean[i]) * rstd[i];
      d[i] *= slope_of(Activation, v[i] * w[i] + b[i]);
    }
  }
};

// Of the chunk blockIdx.y of the rows: partial [chunk, 2, cols], sums of g x' and of g.
template <class T, int N, Act Activation>
__global__ void __launch_bounds__(kThreads)
    chunk_sums(BatchNormBackward a, ColumnTile tile, i64 chunk, float* partial) {
  BP_SHARED(float, shared, 2 * N * kThreads);
  const InTile at = in_tile<N>(tile, blockIdx.x);
  const i64 first = blockIdx.y * chunk, last = std::min(a.rows, first + chunk);
  float sums[2 * N] = {};
  if (at.column < a.cols) {
    const Columns<T, N, Activation> columns(a, at.column);
    for (i64 row = first + at.depth; row < last; row += tile.deep) {
      float v[N], g[N];
      columns.load(a, row * a.cols + at.column, v, g);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        sums[i] += g[i] * v[i];
        sums[N + i] += g[i];
      }
    }
  }
  add_depths(sums, shared, tile, at.depth);
  if (at.depth == 0 && at.column < a.cols) {
#pragma unroll
    for (int i = 0; i < 2 * N; ++i) partial[(blockIdx.y * 2 + i / N) * a.cols + at.column + i % N] = sums[i];
  }
}

template <class T>
struct Weights {
  T *dw, *db;
  float* sums;  // [2, cols], for dx
  i64 cols;
  __device__ void operator()(i64 at, float sum) const {
    sums[at] = sum;
    T* const to = at < cols ? dw : db;
    if (to) to[at < cols ? at : at - cols] = store_as<T>(sum);
  }
};

// dx of the chunk blockIdx.y of the rows; `share` is what a row is of the batch, or 0.
template <class T, int N, Act Activation>
__global__ void __launch_bounds__(kThreads)
    input_gradient(BatchNormBackward a, ColumnTile tile, i64 chunk, const float* sums, float share) {
  const InTile at = in_tile<N>(tile, blockIdx.x);
  if (at.column >= a.cols) return;
  const i64 first = blockIdx.y * chunk, last = std::min(a.rows, first + chunk);
  const Columns<T, N, Activation> columns(a, at.column);
  float gx[N] = {}, g[N] = {};
  if (share != 0) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      gx[i] = share * sums[at.column + i];
      g[i] = share * sums[a.cols + at.column + i];
    }
  }
  for (i64 row = first + at.depth; row < last; row += tile.deep) {
    float v[N], d[N];
    columns.load(a, row * a.cols + at.column, v, d);
#pragma unroll
    for (int i = 0; i < N; ++i) d[i] = columns.w[i] * columns.rstd[i] * (d[i] - g[i] - v[i] * gx[i]);
    store_floats(static_cast<T*>(a.dx) + row * a.cols + at.column, d);
  }
}

template <class T, int N, Act Activation>
void run(const BatchNormBackward& a) {
  const ColumnTile tile = column_tile(a.cols, N);
  const auto grid = [&](i64 chunks) {
    return dim3(static_cast<unsigned>(tile.tiles), static_cast<unsigned>(chunks));
  };
  auto* sums = workspace<float>(1, 2 * a.cols);
  if (a.training || a.dw || a.db) {
    const i64 chunks = row_chunks(a.rows, tile, 4 * multiprocessors());
    auto* partial = workspace<float>(0, chunks * 2 * a.cols);
    launch(chunk_sums<T, N, Activation>, grid(chunks), kThreads, 0, a, tile, ceil_div(a.rows, chunks),
           partial);
    add_partials(partial, chunks, 2 * a.cols,
                 Weights<T>{static_cast<T*>(a.dw), static_cast<T*>(a.db), sums, a.cols});
  }
  if (!a.dx || a.rows == 0) return;
  const i64 chunks = row_chunks(a.rows, tile, 8 * multiprocessors());
  launch(input_gradient<T, N, Activation>, grid(chunks), kThreads, 0, a, tile, ceil_div(a.rows, chunks), sums,
         a.training ? 1 / static_cast<float>(a.rows) : 0.0f);
}

template <class T, int N>
void run(const BatchNormBackward& a) {
  switch (a.act) {
    case Act::gelu:
      return run<T, N, Act::gelu>(a);
    case Act::relu:
      return run<T, N, Act::relu>(a);
    case Act::none:
      return run<T, N, Act::none>(a);
  }
}

}  // namespace

void batch_norm_backward(const BatchNormBackward& a) {
  if (a.cols == 0) return;
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    packs<T>(a.cols, a.x, a.w, a.b, a.dy, a.dx) ? run<T, kPackOf<T>>(a) : run<T, 1>(a);
  });
}

}  // namespace bp::cuda
