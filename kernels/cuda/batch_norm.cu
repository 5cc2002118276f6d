// BatchNorm over rows of channels, and an activation after it. Floor: x read once for the statistics (in
// training) and once more for y, y written once.
//
// Statistics: every thread keeps mean and squared deviations of its rows by Welford's recurrence, on
// differences from the first row: these are small where the mean is large, and no digits cancel. Threads,
// then blocks are joined in a fixed order by the formulas of Chan, Golub and LeVeque (1979).
#include "kernels/cuda/columns.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

struct Moments {  // of `count` numbers
  float count, mean, square;
};
__device__ __forceinline__ void join(Moments& a, const Moments& b) {
  if (b.count == 0) return;
  const float count = a.count + b.count, share = b.count / count, d = b.mean - a.mean;
  a.mean += d * share;
  a.square += b.square + d * d * a.count * share;
  a.count = count;
}

// Joins the moments of N columns over the rows of a tile; the results are those of the threads of depth 0.
// `shared` has (2 N + 1) * kThreads floats.
template <int N>
__device__ __forceinline__ void join_depths(float& count, float (&mean)[N], float (&square)[N], float* shared,
                                            const ColumnTile& tile, int depth) {
  const int thread = static_cast<int>(threadIdx.x);
  const auto publish = [&] {
    shared[2 * N * kThreads + thread] = count;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      shared[i * kThreads + thread] = mean[i];
      shared[(N + i) * kThreads + thread] = square[i];
    }
  };
  publish();
  for (int live = tile.deep; live > 1;) {
    const int half = (live + 1) / 2, other = thread + half * tile.lanes;
    __syncthreads();
    if (depth + half < live) {
      float joined = count;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        Moments m{count, mean[i], square[i]};
        join(m, {shared[2 * N * kThreads + other], shared[i * kThreads + other],
                 shared[(N + i) * kThreads + other]});
        joined = m.count;
        mean[i] = m.mean;
        square[i] = m.square;
      }
      count = joined;
      publish();
    }
    live = half;
  }
}

// Of the chunk blockIdx.y of the rows: partial [chunk, 2, cols], means (less x's first row) and squared
// deviations.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    chunk_moments(BatchNorm a, ColumnTile tile, i64 chunk, float* partial) {
  BP_SHARED(float, shared, (2 * N + 1) * kThreads);
  const InTile at = in_tile<N>(tile, blockIdx.x);
  const i64 first = blockIdx.y * chunk, last = std::min(a.rows, first + chunk);
  float count = 0, mean[N] = {}, square[N] = {};
  if (at.column < a.cols) {
    const T* x = static_cast<const T*>(a.x) + at.column;
    float start[N];
    load_floats(x, start);
#pragma unroll 4
    for (i64 row = first + at.depth; row < last; row += tile.deep) {
      float v[N];
      load_floats(x + row * a.cols, v);
      count += 1;
      const float share = 1 / count;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const float y = v[i] - start[i], d = y - mean[i];
        mean[i] += d * share;
        square[i] += d * (y - mean[i]);
      }
    }
  }
  join_depths(count, mean, square, shared, tile, at.depth);
  if (at.depth == 0 && at.column < a.cols) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      partial[blockIdx.y * 2 * a.cols + at.column + i] = mean[i];
      partial[(blockIdx.y * 2 + 1) * a.cols + at.column + i] = square[i];
    }
  }
}

// Joins the chunks; writes the statistics and moves the running ones towards them.
template <class T>
__global__ void __launch_bounds__(kThreads)
    finish(BatchNorm a, ColumnTile tile, i64 chunk, i64 chunks, const float* partial) {
  BP_SHARED(float, shared, 3 * kThreads);
  const InTile at = in_tile<1>(tile, blockIdx.x);
  Moments all{0, 0, 0};
  if (at.column < a.cols) {
#pragma unroll 4
    for (i64 c = at.depth; c < chunks; c += tile.deep)
      join(all, {static_cast<float>(std::max<i64>(0, std::min(chunk, a.rows - c * chunk))),
                 partial[c * 2 * a.cols + at.column], partial[(c * 2 + 1) * a.cols + at.column]});
  }
  float mean[1] = {all.mean}, square[1] = {all.square};
  join_depths(all.count, mean, square, shared, tile, at.depth);
  if (at.depth != 0 || at.column >= a.cols) return;
  const float rows = static_cast<float>(a.rows);
  const float m = load_f32(static_cast<const T*>(a.x)[at.column]) + mean[0];
  a.stats[at.column] = m;
  a.stats[a.cols + at.column] = 1 / sqrtf(square[0] / rows + a.eps);
  a.running_mean[at.column] += a.momentum * (m - a.running_mean[at.column]);
  a.running_var[at.column] += a.momentum * (square[0] / (rows - 1) - a.running_var[at.column]);
}

// Outside of training.
__global__ void __launch_bounds__(kThreads) take_running(BatchNorm a) {
  const i64 i = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.cols) return;
  a.stats[i] = a.running_mean[i];
  a.stats[a.cols + i] = 1 / sqrtf(a.running_var[i] + a.eps);
}

// y of the chunk blockIdx.y of the rows; a thread keeps what belongs to its columns.
template <class T, int N, Act Activation>
__global__ void __launch_bounds__(kThreads) normalize(BatchNorm a, ColumnTile tile, i64 chunk) {
  const InTile at = in_tile<N>(tile, blockIdx.x);
  if (at.column >= a.cols) return;
  const i64 first = blockIdx.y * chunk, last = std::min(a.rows, first + chunk);
  float scale[N], bias[N], mean[N];
  load_floats(static_cast<const T*>(a.w) + at.column, scale);
  load_floats(static_cast<const T*>(a.b) + at.column, bias);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    mean[i] = a.stats[at.column + i];
    scale[i] *= a.stats[a.cols + at.column + i];
  }
#pragma unroll 2
  for (i64 row = first + at.depth; row < last; row += tile.deep) {
    float v[N];
    load_floats(static_cast<const T*>(a.x) + row * a.cols + at.column, v);
#pragma unroll
    for (int i = 0; i < N; ++i) v[i] = activated(Activation, (v[i] - mean[i]) * scale[i] + bias[i]);
    store_floats(static_cast<T*>(a.y) + row * a.cols + at.column, v);
  }
}

template <class T, int N>
void run(const BatchNorm& a) {
  const ColumnTile tile = column_tile(a.cols, N), narrow = column_tile(a.cols, 1, 8);
  const auto tiles = static_cast<unsigned>(tile.tiles);
  if (a.training) {
    const i64 chunks = row_chunks(a.rows, tile, 4 * multiprocessors()), chunk = ceil_div(a.rows, chunks);
    auto* partial = workspace<float>(0, chunks * 2 * a.cols);
    launch(chunk_moments<T, N>, dim3(tiles, static_cast<unsigned>(chunks)), kThreads, 0, a, tile, chunk,
           partial);
    launch(finish<T>, static_cast<unsigned>(narrow.tiles), kThreads, 0, a, narrow, chunk, chunks, partial);
  } else {
    launch(take_running, static_cast<unsigned>(ceil_div(a.cols, kThreads)), kThreads, 0, a);
  }
  if (a.rows == 0) return;
  const i64 chunks = row_chunks(a.rows, tile, 16 * multiprocessors());
  launch(a.act == Act::gelu   ? normalize<T, N, Act::gelu>
         : a.act == Act::relu ? normalize<T, N, Act::relu>
                              : normalize<T, N, Act::none>,
         dim3(tiles, static_cast<unsigned>(chunks)), kThreads, 0, a, tile, ceil_div(a.rows, chunks));
}

}  // namespace

void batch_norm(const BatchNorm& a) {
  if (a.cols == 0) return;
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    packs<T>(a.cols, a.x, a.w, a.b, a.y) ? run<T, kPackOf<T>>(a) : run<T, 1>(a);
  });
}

}  // namespace bp::cuda
