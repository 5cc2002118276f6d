// With g = dy w and x' = (x - mean) rstd: dx = rstd (g - mean(g) - x' mean(g x')), dw = sum(dy x'), db =
// sum(dy). Floor: x and dy read, dx written once. A lane holds the same columns of all its rows, so it keeps
// their sums for dw and db in registers; blocks leave partial sums, which a second pass adds in order. Long
// rows are read again for dw and db, by columns.
#include "kernels/cuda/columns.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

// Adds the sums of the lanes that hold the same columns, to partial [2, cols] of this block.
template <int N, int Packs>
__device__ __forceinline__ void leave_sums(const Held<N, Packs>& dw, const Held<N, Packs>& db, i64 cols,
                                           int lanes, float* partial) {
  BP_SHARED(float, shared, 2 * N * kThreads);
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int p = 0; p < Packs; ++p) {
    __syncthreads();  // the last pack's have been read
#pragma unroll
    for (int i = 0; i < N; ++i) {
      shared[i * kThreads + thread] = dw.v[p][i];
      shared[(N + i) * kThreads + thread] = db.v[p][i];
    }
    __syncthreads();
    for (int k = thread; k < 2 * N * lanes; k += kThreads) {
      const int i = k / lanes, lane = k % lanes, column = (p * lanes + lane) * N + i % N;
      float sum = 0;
      for (int from = lane; from < kThreads; from += lanes) sum += shared[i * kThreads + from];
      if (column < cols) partial[i / N * cols + column] = sum;
    }
  }
}

template <class T, int N, int Packs>
__global__ void __launch_bounds__(kThreads, 1) held_rows(LayerNormBackward a, int lanes, float* partial) {
  const float share = 1 / static_cast<float>(a.cols);
  const T* w = static_cast<const T*>(a.w);
  Held<N, Packs> dw, db;
  each_row(a.rows, lanes, [&](const RowWalk& at) {
    const i64 cols = at.here ? a.cols : 0;
    const float mean = at.here ? a.stats[2 * at.row] : 0, rstd = at.here ? a.stats[2 * at.row + 1] : 0;
    Held<N, Packs> x, d;
    hold(x, static_cast<const T*>(a.x) + at.row * a.cols, cols, at.lane, lanes);
    hold(d, static_cast<const T*>(a.dy) + at.row * a.cols, cols, at.lane, lanes);
    float g = 0, gx = 0;
    each_pack<N, Packs>(cols, at.lane, lanes, [&](int p, int column) {
      float weight[N];
      load_floats(w + column, weight);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        x.v[p][i] = (x.v[p][i] - mean) * rstd;
        dw.v[p][i] += d.v[p][i] * x.v[p][i];
        db.v[p][i] += d.v[p][i];
        d.v[p][i] *= weight[i];
        g += d.v[p][i];
        gx += d.v[p][i] * x.v[p][i];
      }
    });
    if (!a.dx) return;
    g = share * row_sum(g, lanes);
    gx = share * row_sum(gx, lanes);
    each_held<N, Packs>(cols, at.lane, lanes,
                        [&](int p, int i, int) { d.v[p][i] = rstd * (d.v[p][i] - g - x.v[p][i] * gx); });
    put(d, static_cast<T*>(a.dx) + at.row * a.cols, cols, at.lane, lanes);
  });
  if (partial) leave_sums(dw, db, a.cols, lanes, partial + blockIdx.x * 2 * a.cols);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) long_rows(LayerNormBackward a) {
  BP_SHARED(float, scratch, 32);
  const float share = 1 / static_cast<float>(a.cols);
  const T* w = static_cast<const T*>(a.w);
  for (i64 row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const T *x = static_cast<const T*>(a.x) + row * a.cols, *dy = static_cast<const T*>(a.dy) + row * a.cols;
    const float mean = a.stats[2 * row], rstd = a.stats[2 * row + 1];
    float g = 0, gx = 0;
    walk_rows<N>(x, dy, a.cols, [&](const float(&u)[N], const float(&d)[N], i64 column) {
      float weight[N];
      load_floats(w + column, weight);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        g += d[i] * weight[i];
        gx += d[i] * weight[i] * ((u[i] - mean) * rstd);
      }
    });
    g = share * block_sum(g, scratch);
    gx = share * block_sum(gx, scratch);
    walk_rows<N>(x, dy, a.cols, [&](const float(&u)[N], float(&d)[N], i64 column) {
      float weight[N];
      load_floats(w + column, weight);
#pragma unroll
      for (int i = 0; i < N; ++i) d[i] = rstd * (d[i] * weight[i] - g - (u[i] - mean) * rstd * gx);
      store_floats(static_cast<T*>(a.dx) + row * a.cols + column, d);
    });
  }
}

// dw and db of long rows. Block: a tile of columns and the chunk blockIdx.y of the rows; partial [chunk, 2,
// cols].
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    weight_sums(LayerNormBackward a, ColumnTile tile, i64 chunk, float* partial) {
  BP_SHARED(float, shared, 2 * N * kThreads);
  const InTile at = in_tile<N>(tile, blockIdx.x);
  const i64 first = blockIdx.y * chunk, last = std::min(a.rows, first + chunk);
  float sums[2 * N] = {};
  if (at.column < a.cols) {
    for (i64 row = first + at.depth; row < last; row += tile.deep) {
      const float mean = a.stats[2 * row], rstd = a.stats[2 * row + 1];
      float x[N], d[N];
      load_floats(static_cast<const T*>(a.x) + row * a.cols + at.column, x);
      load_floats(static_cast<const T*>(a.dy) + row * a.cols + at.column, d);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        sums[i] += d[i] * ((x[i] - mean) * rstd);
        sums[N + i] += d[i];
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
  i64 cols;
  __device__ void operator()(i64 at, float sum) const {
    T* const to = at < cols ? dw : db;
    if (to) to[at < cols ? at : at - cols] = store_as<T>(sum);
  }
};

template <class T>
void run(const LayerNormBackward& a) {
  const bool packed = packs<T>(a.cols, a.x, a.w, a.dy, a.dx), sums = a.dw || a.db;
  float* partial = nullptr;
  i64 chunks = 0;
  if (is_held(a.cols, packed)) {
    with_held_row<T>(a.cols, packed, [&](auto n, auto each, int lanes) {
      // Few blocks, for few partial sums, where there are any.
      chunks = grid_for(a.rows, kThreads / lanes, (sums ? 2 : 8) * multiprocessors());
      if (sums) partial = workspace<float>(0, chunks * 2 * a.cols);
      launch(held_rows<T, decltype(n)::value, decltype(each)::value>, static_cast<unsigned>(chunks), kThreads,
             0, a, lanes, partial);
    });
  } else {
    const unsigned rows = grid_for(a.rows, 1);
    if (a.dx) launch(packed ? long_rows<T, kPackOf<T>> : long_rows<T, 1>, rows, kThreads, 0, a);
    if (sums) {
      const ColumnTile tile = column_tile(a.cols, packed ? kPackOf<T> : 1);
      chunks = row_chunks(a.rows, tile, 4 * multiprocessors());
      partial = workspace<float>(0, chunks * 2 * a.cols);
      launch(packed ? weight_sums<T, kPackOf<T>> : weight_sums<T, 1>,
             dim3(static_cast<unsigned>(tile.tiles), static_cast<unsigned>(chunks)), kThreads, 0, a, tile,
             ceil_div(a.rows, chunks), partial);
    }
  }
  if (sums)
    add_partials(partial, chunks, 2 * a.cols,
                 Weights<T>{static_cast<T*>(a.dw), static_cast<T*>(a.db), a.cols});
}

}  // namespace

void layer_norm_backward(const LayerNormBackward& a) {
  with_type(a.dtype, [&](auto element) { run<decltype(element)>(a); });
}

}  // namespace bp::cuda
