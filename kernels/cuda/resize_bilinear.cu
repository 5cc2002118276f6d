// Bilinear resize of channels-last maps. Forward: a thread computes a pack of channels of one column, row
// after row; floor: y written once, x read about once (its rows stay in the caches). Backward: along the
// rows, then along the columns, every element collects from the outputs around it; floor: dy read and dx
// written once, and the maps between them.
#include <type_traits>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

constexpr int kBetweenSlot = 0;

// Where an output index falls between two input indices: (1 - weight) in[low] + weight in[high].
struct Tap {
  i64 low, high;
  float weight;
};

__device__ __forceinline__ Tap tap(i64 out, i64 in_size, double ratio) {
  const double from_centre = (static_cast<double>(out) + 0.5) * ratio - 0.5;
  const double at = from_centre > 0 ? from_centre : 0;
  const i64 floor = static_cast<i64>(at), low = floor < in_size ? floor : in_size - 1;
  return {low, low + 1 < in_size ? low + 1 : low, static_cast<float>(at - static_cast<double>(low))};
}

double ratio_of(i64 in, i64 out) {
  return static_cast<double>(in) / static_cast<double>(out);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    resize_kernel(const ResizeBilinear p, double row_ratio, double column_ratio) {
  const unsigned packs = static_cast<unsigned>(p.c / N), thread = blockIdx.x * kThreads + threadIdx.x;
  const i64 ox = thread / packs, channel = i64{thread % packs} * N;
  if (ox >= p.ow) return;
  const Tap column = tap(ox, p.w, column_ratio);
  for (i64 row = blockIdx.y; row < p.n * p.oh; row += gridDim.y) {
    const Tap down = tap(row % p.oh, p.h, row_ratio);
    const T* image = static_cast<const T*>(p.x) + row / p.oh * p.h * p.w * p.c + channel;
    const T *upper = image + down.low * p.w * p.c, *lower = image + down.high * p.w * p.c;
    float a[N], b[N], c[N], d[N];
    load_floats(upper + column.low * p.c, a);
    load_floats(upper + column.high * p.c, b);
    load_floats(lower + column.low * p.c, c);
    load_floats(lower + column.high * p.c, d);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float top = a[i] + (b[i] - a[i]) * column.weight, bottom = c[i] + (d[i] - c[i]) * column.weight;
      a[i] = top + (bottom - top) * down.weight;
    }
    store_floats(static_cast<T*>(p.y) + (row * p.ow + ox) * p.c + channel, a);
  }
}

template <class T, int N>
void run(const ResizeBilinear& p) {
  const i64 across = ceil_div(p.ow * (p.c / N), kThreads), rows = p.n * p.oh;
  // Few enough blocks that a thread has several rows to use its column's place for.
  const dim3 grid(static_cast<unsigned>(across), grid_for(rows, 1, ceil_div(16 * multiprocessors(), across)));
  launch(resize_kernel<T, N>, grid, kThreads, 0, p, ratio_of(p.h, p.oh), ratio_of(p.w, p.ow));
}

// to [outer, in, inner] from dy [outer, out, inner].
template <class From, class To, int N>
__global__ void __launch_bounds__(kThreads)
    collect_kernel(const From* dy, To* to, i64 outer, i64 in, i64 out, i64 inner, double ratio) {
  const i64 packs = inner / N, threads = i64{gridDim.x} * kThreads;
  for (i64 i = i64{blockIdx.x} * kThreads + threadIdx.x; i < outer * in * packs; i += threads) {
    const i64 place = i / packs % in, block = i / packs / in;
    const From* from = dy + block * out * inner + i % packs * N;
    // Outputs that fall between place - 1 and place + 1, and one more at each end for what rounding may do.
    const double middle = (static_cast<double>(place) + 0.5) / ratio - 0.5, reach = 1 / ratio;
    const i64 before = static_cast<i64>(middle - reach) - 1, after = static_cast<i64>(middle + reach) + 2;
    float sum[N] = {};
    for (i64 o = before > 0 ? before : 0; o < out && o <= after; ++o) {
      const Tap t = tap(o, in, ratio);
      const float weight = (t.low == place ? 1 - t.weight : 0.0f) + (t.high == place ? t.weight : 0.0f);
      if (weight == 0) continue;
      float v[N];
      load_floats(from + o * inner, v);
#pragma unroll
      for (int e = 0; e < N; ++e) sum[e] += weight * v[e];
    }
    store_floats(to + i * N, sum);
  }
}

template <class From, class To>
void collect(const From* dy, To* to, i64 outer, i64 in, i64 out, i64 inner) {
  constexpr int kMost = std::min(kPackOf<From>, kPackOf<To>);
  const auto with = [&](auto n) {
    launch(collect_kernel<From, To, n()>,
           grid_for(outer * in * (inner / n()), kThreads, 16 * multiprocessors()), kThreads, 0, dy, to, outer,
           in, out, inner, ratio_of(in, out));
  };
  if (inner % kMost == 0 && aligned16(dy, to))
    with(std::integral_constant<int, kMost>());
  else
    with(std::integral_constant<int, 1>());
}

}  // namespace

void resize_bilinear(const ResizeBilinear& p) {
  if (p.n * p.oh * p.ow * p.c == 0) return;
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    if (packs<T>(p.c, p.x, p.y))
      run<T, kPackOf<T>>(p);
    else
      run<T, 1>(p);
  });
}

void resize_bilinear_backward(const ResizeBilinearBackward& p) {
  if (p.n * p.h * p.w * p.c == 0) return;
  float* between = workspace<float>(kBetweenSlot, std::max<i64>(1, p.n * p.h * p.ow * p.c));
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    if (p.ow > 0) collect(static_cast<const T*>(p.dy), between, p.n, p.h, p.oh, p.ow * p.c);
    collect(static_cast<const float*>(between), static_cast<T*>(p.dx), p.n * p.h, p.w, p.ow, p.c);
  });
}

}  // namespace bp::cuda
