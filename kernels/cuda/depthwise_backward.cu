// Gradients of the depthwise convolution. Floors: dy read and dx written once; x and dy read once for the
// weight's.
#include <type_traits>

#include "kernels/cuda/columns.h"
#include "kernels/cuda/depthwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

constexpr int kDown = 2;  // rows of outputs of a thread
constexpr int kPartialsSlot = 0;

// At stride 2 the gradients of the four inputs (2 a, 2 b) to (2 a + 1, 2 b + 1) come from the outputs (a, b)
// to (a + 1, b + 1): a thread walks along b with two outputs of a column, and keeps those of the next.
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    input_gradient_2(const DepthwiseBackward p, i64 oh, i64 ow, int strip) {
  const unsigned packs = static_cast<unsigned>(p.c / N), thread = blockIdx.x * kThreads + threadIdx.x;
  const i64 channel = i64{thread % packs} * N, begin = i64{thread / packs} * strip;
  if (begin >= ow) return;
  const i64 end = begin + strip < ow ? begin + strip : ow;
  float weight[9][N];
#pragma unroll
  for (int tap = 0; tap < 9; ++tap)
    load_floats(static_cast<const T*>(p.weight) + tap * p.c + channel, weight[tap]);

  for (i64 row = blockIdx.y; row < p.n * oh; row += gridDim.y) {
    const i64 image = row / oh, a = row % oh;
    const T* dy = static_cast<const T*>(p.dy) + image * oh * ow * p.c + channel;
    T* dx = static_cast<T*>(p.dx) + (image * p.h + 2 * a) * p.w * p.c + channel;
    float d[2][N], next[2][N];
    load_column(d, dy, oh, ow, p.c, a, begin);
    for (i64 b = begin; b < end; ++b) {
      load_column(next, dy, oh, ow, p.c, a, b + 1);
      float out[2][2][N];
#pragma unroll
      for (int i = 0; i < N; ++i) {
        out[0][0][i] = d[0][i] * weight[4][i];
        out[0][1][i] = d[0][i] * weight[5][i] + next[0][i] * weight[3][i];
        out[1][0][i] = d[0][i] * weight[7][i] + d[1][i] * weight[1][i];
        out[1][1][i] = d[0][i] * weight[8][i] + next[0][i] * weight[6][i] + d[1][i] * weight[2][i] +
                       next[1][i] * weight[0][i];
        d[0][i] = next[0][i];
        d[1][i] = next[1][i];
      }
#pragma unroll
      for (int r = 0; r < 2; ++r)
#pragma unroll
        for (int q = 0; q < 2; ++q)
          if (2 * a + r < p.h && 2 * b + q < p.w) store_floats(dx + (r * p.w + 2 * b + q) * p.c, out[r][q]);
    }
  }
}

// Adds the products of a column of inputs with the outputs that see it at kx.
template <int KX, int Stride, int R, int N>
__device__ __forceinline__ void add_products(float (&sum)[9 * N], const float (&x)[R][N],
                                             const float (&dy)[kDown][N]) {
#pragma unroll
  for (int r = 0; r < kDown; ++r)
#pragma unroll
    for (int ky = 0; ky < 3; ++ky)
#pragma unroll
      for (int i = 0; i < N; ++i) sum[(ky * 3 + KX) * N + i] += x[r * Stride + ky][i] * dy[r][i];
}

// The sums of one strip of two rows of outputs, from column `begin` to `end`.
template <int Stride, int N, class T>
__device__ __forceinline__ void add_strip(float (&sum)[9 * N], const T* x, const T* dy,
                                          const DepthwiseBackward& p, i64 oh, i64 ow, i64 oy, i64 begin,
                                          i64 end) {
  float in[(kDown - 1) * Stride + 3][N], d[kDown][N], next[kDown][N];
  const i64 top = oy * Stride - 1;
  const float zeros[N] = {};
  const auto load_outputs = [&](float(&to)[kDown][N], i64 ox) {
    if (ox < end)
      load_column(to, dy, oh, ow, p.c, oy, ox);
    else
      set_column(to, zeros);  // those are the next strip's
  };
  load_outputs(d, begin);
  load_column(in, x, p.h, p.w, p.c, top, begin * Stride - 1);
  add_products<0, Stride>(sum, in, d);
  if constexpr (Stride == 1) {
    float before[kDown][N];
    set_column(before, zeros);
    for (i64 ix = begin; ix <= end; ++ix) {
      load_outputs(next, ix + 1);
      load_column(in, x, p.h, p.w, p.c, top, ix);
      add_products<2, 1>(sum, in, before);
      add_products<1, 1>(sum, in, d);
      add_products<0, 1>(sum, in, next);
#pragma unroll
      for (int r = 0; r < kDown; ++r)
#pragma unroll
        for (int i = 0; i < N; ++i) before[r][i] = d[r][i], d[r][i] = next[r][i];
    }
  } else {
    for (i64 ox = begin; ox < end; ++ox) {
      load_outputs(next, ox + 1);
      load_column(in, x, p.h, p.w, p.c, top, ox * Stride);
      add_products<1, Stride>(sum, in, d);
      load_column(in, x, p.h, p.w, p.c, top, ox * Stride + 1);
      add_products<2, Stride>(sum, in, d);
      add_products<0, Stride>(sum, in, next);
#pragma unroll
      for (int r = 0; r < kDown; ++r)
#pragma unroll
        for (int i = 0; i < N; ++i) d[r][i] = next[r][i];
    }
  }
}

// partial [chunks, 9, c]: a block adds up the strips chunk, chunk + chunks, ... times its depth.
template <class T, int N, int Stride>
__global__ void __launch_bounds__(kThreads, 2)
    weight_gradient(const DepthwiseBackward p, i64 oh, i64 ow, int strip, ColumnTile tile, float* partial) {
  BP_SHARED(float, shared, 9 * N * kThreads);
  const InTile at = in_tile<N>(tile, blockIdx.x);
  float sum[9 * N] = {};
  if (at.column < p.c) {
    const i64 strips = (ow + strip - 1) / strip, pairs = (oh + 1) / kDown, items = p.n * pairs * strips;
    const i64 step = i64{gridDim.y} * tile.deep;
    for (i64 item = blockIdx.y * i64{tile.deep} + at.depth; item < items; item += step) {
      const i64 begin = item % strips * strip, row = item / strips, image = row / pairs;
      add_strip<Stride, N>(sum, static_cast<const T*>(p.x) + image * p.h * p.w * p.c + at.column,
                           static_cast<const T*>(p.dy) + image * oh * ow * p.c + at.column, p, oh, ow,
                           row % pairs * kDown, begin, begin + strip < ow ? begin + strip : ow);
    }
  }
  add_depths(sum, shared, tile, at.depth);
  if (at.depth == 0 && at.column < p.c) {
#pragma unroll
    for (int tap = 0; tap < 9; ++tap)
#pragma unroll
      for (int i = 0; i < N; ++i)
        partial[(blockIdx.y * i64{9} + tap) * p.c + at.column + i] = sum[tap * N + i];
  }
}

template <class T>
struct StoreSum {
  T* to;
  __device__ void operator()(i64 i, float sum) const { to[i] = store_as<T>(sum); }
};

template <class T, int N>
void run_weight_gradient(const DepthwiseBackward& p, i64 oh, i64 ow) {
  const ColumnTile tile = column_tile(p.c, N);
  const int strip = strip_length(ow, p.n * ceil_div(oh, kDown) * (p.c / N));
  const i64 items = p.n * ceil_div(oh, kDown) * ceil_div(ow, strip);
  const i64 chunks = std::clamp<i64>(ceil_div(2 * multiprocessors(), tile.tiles), 1,
                                     std::max<i64>(1, ceil_div(items, tile.deep)));
  float* partial = workspace<float>(kPartialsSlot, chunks * 9 * p.c);
  const dim3 grid(static_cast<unsigned>(tile.tiles), static_cast<unsigned>(chunks));
  if (p.stride == 1)
    launch(weight_gradient<T, N, 1>, grid, kThreads, 0, p, oh, ow, strip, tile, partial);
  else
    launch(weight_gradient<T, N, 2>, grid, kThreads, 0, p, oh, ow, strip, tile, partial);
  add_partials(partial, chunks, 9 * p.c, StoreSum<T>{static_cast<T*>(p.dweight)});
}

template <class T, int N>
void run_input_gradient_2(const DepthwiseBackward& p, i64 oh, i64 ow) {
  const i64 packs = p.c / N, rows = p.n * oh;
  const int strip = strip_length(ow, packs * rows);
  const dim3 grid(static_cast<unsigned>(ceil_div(packs * ceil_div(ow, strip), kThreads)), grid_for(rows, 1));
  launch(input_gradient_2<T, N>, grid, kThreads, 0, p, oh, ow, strip);
}

}  // namespace

void depthwise_backward(const DepthwiseBackward& p) {
  if (p.c == 0) return;
  const bool empty = p.n == 0 || p.h == 0 || p.w == 0;
  if (empty) {
    if (p.dweight) fill({p.dweight, 9 * p.c, 0, p.dtype});
    return;
  }
  const i64 oh = depthwise_size(p.h, p.stride), ow = depthwise_size(p.w, p.stride);
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    if (p.dweight)
      with_channels<T>(
          p.c, [&](auto n) { run_weight_gradient<T, n()>(p, oh, ow); }, p.x, p.dy);
    if (p.dx && p.stride == 2)
      with_channels<T>(
          p.c, [&](auto n) { run_input_gradient_2<T, n()>(p, oh, ow); }, p.weight, p.dy, p.dx);
  });
  // At stride 1 it is the convolution of dy with the weight turned.
  if (p.dx && p.stride == 1)
    run_depthwise({p.dy, p.weight, nullptr, p.dx, p.n, p.h, p.w, p.c, 1, Act::none, p.dtype}, true);
}

}  // namespace bp::cuda
