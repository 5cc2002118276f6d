// Depthwise 3x3 convolution with padding 1, at stride 1 or 2. Floor: x read and y written once. Rows that two
// threads need come from the caches: a thread loads 4 of them for 2 outputs (5 at stride 2).
#include <type_traits>

#include "kernels/cuda/depthwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

constexpr int kDown = 2;  // rows of outputs of a thread

// Adds what a column of inputs gives to the outputs that see it at kx.
template <int KX, int Stride, int R, int N>
__device__ __forceinline__ void add_column(float (&sum)[kDown][N], const float (&x)[R][N],
                                           const float (&weight)[9][N]) {
#pragma unroll
  for (int r = 0; r < kDown; ++r)
#pragma unroll
    for (int ky = 0; ky < 3; ++ky)
#pragma unroll
      for (int i = 0; i < N; ++i) sum[r][i] += x[r * Stride + ky][i] * weight[ky * 3 + KX][i];
}

template <class T, int N, int Stride>
__global__ void __launch_bounds__(kThreads, 2)
    depthwise_kernel(const Depthwise p, i64 oh, i64 ow, int strip, bool turned) {
  constexpr int kRows = (kDown - 1) * Stride + 3;
  const unsigned packs = static_cast<unsigned>(p.c / N), thread = blockIdx.x * kThreads + threadIdx.x;
  const i64 channel = i64{thread % packs} * N, begin = i64{thread / packs} * strip;
  if (begin >= ow) return;
  const i64 end = begin + strip < ow ? begin + strip : ow;

  float weight[9][N], bias[N] = {};
#pragma unroll
  for (int tap = 0; tap < 9; ++tap)
    load_floats(static_cast<const T*>(p.weight) + (turned ? 8 - tap : tap) * p.c + channel, weight[tap]);
  if (p.bias) load_floats(static_cast<const T*>(p.bias) + channel, bias);

  const i64 pairs = (oh + 1) / kDown;
  for (i64 pair = blockIdx.y; pair < p.n * pairs; pair += gridDim.y) {
    const i64 image = pair / pairs, oy = pair % pairs * kDown;
    const T* x = static_cast<const T*>(p.x) + image * p.h * p.w * p.c + channel;
    T* y = static_cast<T*>(p.y) + (image * oh + oy) * ow * p.c + channel;
    const auto store = [&](i64 ox, float(&sum)[kDown][N]) {
#pragma unroll
      for (int r = 0; r < kDown; ++r) {
        if (oy + r >= oh) continue;
#pragma unroll
        for (int i = 0; i < N; ++i) sum[r][i] = activated(p.act, sum[r][i]);
        store_floats(y + (r * ow + ox) * p.c, sum[r]);
      }
    };
    float in[kRows][N], sum[kDown][N];
    set_column(sum, bias);
    load_column(in, x, p.h, p.w, p.c, oy * Stride - 1, begin * Stride - 1);
    add_column<0, Stride>(sum, in, weight);
    if constexpr (Stride == 1) {
      float next[kDown][N], after[kDown][N];
      set_column(next, bias);
      load_column(in, x, p.h, p.w, p.c, oy - 1, begin);
      add_column<1, 1>(sum, in, weight);
      add_column<0, 1>(next, in, weight);
      for (i64 ox = begin; ox < end; ++ox) {
        set_column(after, bias);
        load_column(in, x, p.h, p.w, p.c, oy - 1, ox + 1);
        add_column<2, 1>(sum, in, weight);
        add_column<1, 1>(next, in, weight);
        add_column<0, 1>(after, in, weight);
        store(ox, sum);
#pragma unroll
        for (int r = 0; r < kDown; ++r)
#pragma unroll
          for (int i = 0; i < N; ++i) sum[r][i] = next[r][i], next[r][i] = after[r][i];
      }
    } else {
      float next[kDown][N];
      for (i64 ox = begin; ox < end; ++ox) {
        load_column(in, x, p.h, p.w, p.c, oy * Stride - 1, ox * Stride);
        add_column<1, Stride>(sum, in, weight);
        load_column(in, x, p.h, p.w, p.c, oy * Stride - 1, ox * Stride + 1);
        add_column<2, Stride>(sum, in, weight);
        set_column(next, bias);
        add_column<0, Stride>(next, in, weight);
        store(ox, sum);
#pragma unroll
        for (int r = 0; r < kDown; ++r)
#pragma unroll
          for (int i = 0; i < N; ++i) sum[r][i] = next[r][i];
      }
    }
  }
}

template <class T, int N>
void run(const Depthwise& p, bool turned) {
  const i64 oh = depthwise_size(p.h, p.stride), ow = depthwise_size(p.w, p.stride);
  const i64 packs = p.c / N, pairs = p.n * ceil_div(oh, kDown);
  const int strip = strip_length(ow, packs * pairs);
  const dim3 grid(static_cast<unsigned>(ceil_div(packs * ceil_div(ow, strip), kThreads)), grid_for(pairs, 1));
  if (p.stride == 1)
    launch(depthwise_kernel<T, N, 1>, grid, kThreads, 0, p, oh, ow, strip, turned);
  else
    launch(depthwise_kernel<T, N, 2>, grid, kThreads, 0, p, oh, ow, strip, turned);
}

}  // namespace

void run_depthwise(const Depthwise& p, bool turned) {
  if (p.n == 0 || p.h == 0 || p.w == 0 || p.c == 0) return;
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    with_channels<T>(
        p.c, [&](auto n) { run<T, n()>(p, turned); }, p.x, p.weight, p.bias, p.y);
  });
}

void depthwise(const Depthwise& p) {
  run_depthwise(p, false);
}

}  // namespace bp::cuda
