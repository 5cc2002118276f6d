// Sums over any axes. Floor: x read once. Where the last axis is kept, threads lie over columns and walk down
// the rows (columns.h); where it is summed, neighbouring threads share an output and walk along it. If there
// are too few outputs to fill the device, what is summed is cut into chunks, whose sums are added in a second
// pass.
#include "kernels/cuda/columns.h"
#include "kernels/cuda/strided.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

// What is added up for an output are `units`: rows where the last axis is kept, else packs of these rows.
struct Plan {
  cpu::Axes kept, summed;  // the axes before the last (a: strides of x, b: of y)
  i64 kept_rows, summed_rows, cols;
  i64 units, chunks;
};

template <class T>
struct Out {
  T* y;
  float scale;
  float* partial;  // [chunks, y_numel], or null where there is one chunk
  i64 y_numel;
  __device__ void operator()(i64 at, float sum) const { y[at] = store_as<T>(scale * sum); }
  __device__ void operator()(i64 chunk, i64 at, float sum) const {
    if (partial)
      partial[chunk * y_numel + at] = sum;
    else
      (*this)(at, sum);
  }
};

struct Span {
  i64 first, last;
};
__device__ __forceinline__ Span units_of(const Plan& p, i64 chunk) {
  const i64 each = (p.units + p.chunks - 1) / p.chunks;
  return {chunk * each, std::min(p.units, (chunk + 1) * each)};
}

// Block: a tile of columns of one kept row and one chunk.
template <class T, int N, class I>
__global__ void __launch_bounds__(kThreads) sum_rows(const T* x, Plan p, ColumnTile tile, Out<T> out) {
  BP_SHARED(float, shared, N* kThreads);
  const i64 blocks = p.kept_rows * p.chunks * tile.tiles;
  for (i64 block = blockIdx.x; block < blocks; block += gridDim.x) {
    const i64 band = block / tile.tiles, row = band / p.chunks, chunk = band - row * p.chunks;
    const InTile at = in_tile<N>(tile, block - band * tile.tiles);
    const Offsets kept = offsets_of(p.kept, p.kept.rank, row);
    const Span rows = units_of(p, chunk);
    float sum[N] = {};
    if (at.column < p.cols) {
      const T* from = x + kept.a + at.column;
#pragma unroll 4
      for (i64 r = rows.first + at.depth; r < rows.last; r += tile.deep) {
        float v[N];
        load_floats(from + offsets_of(p.summed, p.summed.rank, static_cast<I>(r)).a, v);
#pragma unroll
        for (int k = 0; k < N; ++k) sum[k] += v[k];
      }
    }
    __syncthreads();  // of the last block
    add_depths(sum, shared, tile, at.depth);
    if (at.depth == 0 && at.column < p.cols) {
#pragma unroll
      for (int k = 0; k < N; ++k) out(chunk, kept.b + at.column + k, sum[k]);
    }
  }
}

// Block: kThreads / lanes outputs of one chunk; lanes is a power of 2.
template <class T, int N, class I>
__global__ void __launch_bounds__(kThreads) sum_runs(const T* x, Plan p, int lanes, Out<T> out) {
  BP_SHARED(float, shared, kThreads);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % lanes, together = kThreads / lanes;
  const i64 groups = (p.kept_rows + together - 1) / together;
  const I packs = static_cast<I>(p.cols / N);
  for (i64 block = blockIdx.x; block < groups * p.chunks; block += gridDim.x) {
    const i64 group = block / p.chunks, chunk = block - group * p.chunks;
    const i64 row = group * together + thread / lanes;
    const Offsets kept = offsets_of(p.kept, p.kept.rank, row);
    const Span span = units_of(p, chunk);
    float sum = 0;
    if (row < p.kept_rows) {
#pragma unroll 4
      for (i64 i = span.first + lane; i < span.last; i += lanes) {
        const I unit = static_cast<I>(i), r = p.summed_rows == 1 ? 0 : unit / packs;
        const i64 column = static_cast<i64>(unit - r * packs) * N;
        float v[N];
        load_floats(x + kept.a + offsets_of(p.summed, p.summed.rank, r).a + column, v);
#pragma unroll
        for (int k = 0; k < N; ++k) sum += v[k];
      }
    }
    __syncthreads();  // of the last block
    shared[thread] = sum;
    for (int half = lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) shared[thread] = sum += shared[thread + half];
    }
    if (lane == 0 && row < p.kept_rows) out(chunk, kept.b, sum);
  }
}

struct Split {
  Plan plan;
  bool keep_last;
};
Split split(const SumTo& a) {
  i64 xs[kMaxRank], stride = 1;
  for (int i = a.rank - 1; i >= 0; --i) {
    xs[i] = stride;
    stride *= a.dims[i];
  }
  const cpu::Axes m = cpu::merge_axes(a.rank, a.dims, xs, a.ys);
  Plan p{};
  for (int i = 0; i + 1 < m.rank; ++i) {
    cpu::Axes& to = m.b[i] == 0 ? p.summed : p.kept;
    to.dims[to.rank] = m.dims[i];
    to.a[to.rank] = m.a[i];
    to.b[to.rank] = m.b[i];
    ++to.rank;
  }
  p.kept_rows = cpu::numel(p.kept.rank, p.kept.dims);
  p.summed_rows = cpu::numel(p.summed.rank, p.summed.dims);
  p.cols = m.dims[m.rank - 1];
  return {p, m.b[m.rank - 1] != 0};
}

template <class T, int N>
void run(const SumTo& a, Plan p, bool keep_last) {
  const i64 wanted = 8 * multiprocessors();
  p.units = keep_last ? p.summed_rows : p.summed_rows * (p.cols / N);
  const ColumnTile tile = column_tile(p.cols, N);
  int lanes = 1;
  while (lanes < kThreads && lanes * 4 < p.units) lanes *= 2;
  const i64 outputs = keep_last ? p.kept_rows * tile.tiles : ceil_div(p.kept_rows, kThreads / lanes);
  const i64 most = ceil_div(p.units, 4 * i64{keep_last ? tile.deep : lanes});
  p.chunks = std::clamp<i64>(wanted / outputs, 1, std::max<i64>(1, most));
  float* const partial = p.chunks > 1 ? workspace<float>(0, p.chunks * a.y_numel) : nullptr;
  const Out<T> out{static_cast<T*>(a.y), a.scale, partial, a.y_numel};
  const T* x = static_cast<const T*>(a.x);
  const unsigned blocks = grid_for(outputs * p.chunks, 1);
  with_index(p.units, [&](auto zero) {
    using I = decltype(zero);
    if (keep_last)
      launch(sum_rows<T, N, I>, blocks, kThreads, 0, x, p, tile, out);
    else
      launch(sum_runs<T, N, I>, blocks, kThreads, 0, x, p, lanes, out);
  });
  if (partial) add_partials(partial, p.chunks, a.y_numel, out);
}

}  // namespace

void sum_to(const SumTo& a) {
  if (cpu::numel(a.rank, a.dims) == 0) return fill({a.y, a.y_numel, 0.0f, a.dtype});
  const Split s = split(a);
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    if (packs<T>(s.plan.cols, a.x))
      run<T, kPackOf<T>>(a, s.plan, s.keep_last);
    else
      run<T, 1>(a, s.plan, s.keep_last);
  });
}

}  // namespace bp::cuda
