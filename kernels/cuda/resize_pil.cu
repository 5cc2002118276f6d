// PIL's antialiased bilinear resize on 8 bits: a triangle filter, widened by the scale when shrinking, in two
// passes with 22-bit weights and an 8-bit result between them. Bit-equal to Pillow and to the CPU's kernel:
// the weights are computed on the device by the same operations in double, none of them fused. Floor: x and y
// once, and the rows between the passes twice.
#include <cmath>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

constexpr int kAcrossSlot = 0, kDownSlot = 1, kRowsSlot = 2;
constexpr int kWeightBits = 22;
constexpr unsigned kHalf = 1u << (kWeightBits - 1);

// For each output index i: weight[i * taps + t] of input first[i] + t, for t < count[i].
struct Axis {
  int in, out, taps;
  int *first, *count, *weight;
};

__device__ double triangle(int t, double centre, double per_tap) {
  const double x = separate_product(static_cast<double>(t) - centre + 0.5, per_tap), at = x < 0 ? -x : x;
  return at < 1.0 ? 1.0 - at : 0.0;
}

__global__ void __launch_bounds__(kThreads) weights_kernel(const Axis axis) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= axis.out) return;
  const double scale = static_cast<double>(axis.in) / static_cast<double>(axis.out);
  const double support = scale > 1.0 ? scale : 1.0, per_tap = 1.0 / support;
  const double centre = separate_product(static_cast<double>(i) + 0.5, scale);
  const int low = static_cast<int>(centre - support + 0.5), high = static_cast<int>(centre + support + 0.5);
  const int begin = low > 0 ? low : 0, end = high < axis.in ? high : axis.in;
  double sum = 0;
  for (int t = begin; t < end; ++t) sum += triangle(t, centre, per_tap);
  int* weight = axis.weight + i64{i} * axis.taps;
  for (int t = begin; t < end; ++t) {
    const double exact = triangle(t, centre, per_tap);
    weight[t - begin] = static_cast<int>(0.5 + (sum != 0 ? exact / sum : exact) * (1 << kWeightBits));
  }
  axis.first[i] = begin;
  axis.count[i] = end - begin;
}

// Sums are taken modulo 2^32, as weights of extreme reductions may round to more than one in total.
__device__ __forceinline__ u8 to_8_bits(unsigned sum) {
  const int v = static_cast<int>(sum) >> kWeightBits;
  return static_cast<u8>(v < 0 ? 0 : v > 255 ? 255 : v);
}

// rows [h, pitch]: x [h, in, C] resized along its rows. A thread computes one pixel.
template <int C>
__global__ void __launch_bounds__(kThreads)
    across_kernel(const u8* x, u8* rows, i64 h, i64 pitch, const Axis axis) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= axis.out) return;
  const int count = axis.count[i];
  const int* weight = axis.weight + i64{i} * axis.taps;
  for (i64 row = blockIdx.y; row < h; row += gridDim.y) {
    const u8* from = x + (row * axis.in + axis.first[i]) * C;
    unsigned sum[C];
#pragma unroll
    for (int c = 0; c < C; ++c) sum[c] = kHalf;
    for (int t = 0; t < count; ++t)
#pragma unroll
      for (int c = 0; c < C; ++c) sum[c] += static_cast<unsigned>(from[t * C + c] * weight[t]);
#pragma unroll
    for (int c = 0; c < C; ++c) rows[row * pitch + i64{i} * C + c] = to_8_bits(sum[c]);
  }
}

// y [out, bytes]: weighted sums down the rows; a thread does four bytes.
__global__ void __launch_bounds__(kThreads)
    down_kernel(const u8* rows, u8* y, i64 bytes, i64 pitch, const Axis axis) {
  const i64 at = 4 * (i64{blockIdx.x} * kThreads + threadIdx.x);
  if (at >= bytes) return;
  for (i64 i = blockIdx.y; i < axis.out; i += gridDim.y) {
    const int* weight = axis.weight + i * axis.taps;
    const u8* from = rows + axis.first[i] * pitch + at;
    unsigned sum[4] = {kHalf, kHalf, kHalf, kHalf};
    const int count = axis.count[i];
    for (int t = 0; t < count; ++t, from += pitch) {
      const Pack<u8, 4> v = load_pack<4>(from);
#pragma unroll
      for (int e = 0; e < 4; ++e) sum[e] += static_cast<unsigned>(v.v[e] * weight[t]);
    }
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (at + e < bytes) y[i * bytes + at + e] = to_8_bits(sum[e]);
  }
}

Axis make_axis(i64 in, i64 out, int slot) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  Axis axis;
  axis.in = static_cast<int>(in);
  axis.out = static_cast<int>(out);
  axis.taps = static_cast<int>(std::ceil(std::max(scale, 1.0))) * 2 + 1;
  axis.first = workspace<int>(slot, out * (2 + axis.taps));
  axis.count = axis.first + out;
  axis.weight = axis.count + out;
  launch(weights_kernel, grid_for(out, kThreads), kThreads, 0, axis);
  return axis;
}

template <int C>
void run(const ResizePil& a) {
  const Axis across = make_axis(a.w, a.ow, kAcrossSlot), down = make_axis(a.h, a.oh, kDownSlot);
  const i64 bytes = a.ow * C, pitch = ceil_div(bytes, 4) * 4;
  u8* rows = workspace<u8>(kRowsSlot, a.h * pitch);
  launch(across_kernel<C>, dim3(grid_for(a.ow, kThreads), grid_for(a.h, 1)), kThreads, 0, a.x, rows, a.h,
         pitch, across);
  launch(down_kernel, dim3(grid_for(bytes, 4 * kThreads), grid_for(a.oh, 1)), kThreads, 0, rows, a.y, bytes,
         pitch, down);
}

}  // namespace

void resize_pil(const ResizePil& a) {
  if (a.oh == 0 || a.ow == 0) return;
  switch (a.c) {
    case 1:
      return run<1>(a);
    case 2:
      return run<2>(a);
    case 3:
      return run<3>(a);
    default:
      return run<4>(a);
  }
}

}  // namespace bp::cuda
