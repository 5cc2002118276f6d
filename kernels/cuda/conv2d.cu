// Dense convolution: by cuDNN where the device has it, else as a product with gathered patches. Floor of the
// gathering: x read once, kh kw times as much written, in L2.
#include <type_traits>

#include "kernels/cuda/conv2d.h"
#include "kernels/cuda/table.h"

#ifndef BP_SIMT
#include "kernels/cuda/library.h"
#endif

namespace bp::cuda {
namespace {

constexpr int kColumnsSlot = 0;

// A thread copies N channels of one tap of one patch. E: unsigned integers as large as the elements.
template <class E, int N>
__global__ void __launch_bounds__(kThreads)
    gather_kernel(const E* x, E* columns, const Geometry g, i64 first, i64 count) {
  const unsigned packs = static_cast<unsigned>(g.c / N), row_of_taps = static_cast<unsigned>(g.kw) * packs;
  const unsigned in_patch = static_cast<unsigned>(g.kh) * row_of_taps;
  const i64 threads = i64{gridDim.x} * kThreads;
  for (i64 i = i64{blockIdx.x} * kThreads + threadIdx.x; i < count * in_patch; i += threads) {
    const i64 row = i / in_patch, pixel = first + row;
    const unsigned at = static_cast<unsigned>(i % in_patch);
    const i64 iy = pixel / g.ow % g.oh * g.stride - g.pad + at / row_of_taps;
    const i64 ix = pixel % g.ow * g.stride - g.pad + at % row_of_taps / packs;
    Pack<E, N> v{};
    if (iy >= 0 && iy < g.h && ix >= 0 && ix < g.w)
      v = load_pack<N>(x + ((pixel / g.pixels() * g.h + iy) * g.w + ix) * g.c + i64{at % packs} * N);
    store_pack<N>(columns + i * N, v);
  }
}

template <class E>
void gather(const void* x, void* columns, const Geometry& g, i64 first, i64 count) {
  const auto with = [&](auto n) {
    const i64 packs = count * (g.patch() / n());
    launch(gather_kernel<E, n()>, grid_for(packs, kThreads, 16 * multiprocessors()), kThreads, 0,
           static_cast<const E*>(x), static_cast<E*>(columns), g, first, count);
  };
  if (packs<E>(g.c, x))
    with(std::integral_constant<int, kPackOf<E>>());
  else
    with(std::integral_constant<int, 1>());
}

}  // namespace

void gather_patches(const void* x, void* columns, const Geometry& g, i64 first, i64 count, DType dtype) {
  if (dtype == DType::f32)
    gather<std::uint32_t>(x, columns, g, first, count);
  else
    gather<std::uint16_t>(x, columns, g, first, count);
}

void conv2d(const Conv2d& p) {
  const Geometry g = geometry(p);
  const i64 pixels = g.n * g.pixels(), patch = g.patch();
  if (pixels == 0 || p.o == 0) return;
#ifndef BP_SIMT
  if (!is_product(p) && library_conv2d(p)) return;
#endif
  const i64 step = is_product(p) ? pixels : std::min(pixels, rows_per_chunk(patch));
  void* columns = is_product(p) ? nullptr : workspace(kColumnsSlot, step * patch * size_of(p.dtype));
  for (i64 first = 0; first < pixels; first += step) {
    const i64 count = std::min(step, pixels - first);
    if (columns) gather_patches(p.x, columns, g, first, count, p.dtype);
    void* y = static_cast<char*>(p.y) + static_cast<std::size_t>(first * p.o) * size_of(p.dtype);
    Matmul product =
        plain_product(columns ? columns : p.x, false, p.weight, true, y, count, p.o, patch, p.dtype);
    product.bias = p.bias;
    product.act = p.act;
    matmul(product);
  }
}

}  // namespace bp::cuda
