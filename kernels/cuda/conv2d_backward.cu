// Gradients of the dense convolution. The weight's is dy^T times the patches, summed over chunks in f32. The
// input's are the patches' gradients dy times weight, in f32, of which each input pixel collects what belongs
// to it. Both in an order that shapes alone decide.
#include <type_traits>

#include "kernels/cuda/conv2d.h"
#include "kernels/cuda/table.h"

#ifndef BP_SIMT
#include "kernels/cuda/library.h"
#endif

namespace bp::cuda {
namespace {

constexpr int kColumnsSlot = 0, kSumsSlot = 1;

const void* element(const void* x, i64 i, DType dtype) {
  return static_cast<const char*>(x) + static_cast<std::size_t>(i) * size_of(dtype);
}
void* element(void* x, i64 i, DType dtype) {
  return const_cast<void*>(element(static_cast<const void*>(x), i, dtype));
}

void weight_gradient(const Conv2dBackward& p, const Geometry& g) {
  const i64 pixels = g.n * g.pixels(), patch = g.patch();
  if (pixels == 0) return fill({p.dweight, p.o * patch, 0, p.dtype});
  if (is_product(p))
    return matmul(plain_product(p.dy, true, p.x, false, p.dweight, p.o, patch, pixels, p.dtype));
  const i64 step = std::min(pixels, rows_per_chunk(patch));
  void* columns = workspace(kColumnsSlot, static_cast<std::size_t>(step * patch) * size_of(p.dtype));
  const bool direct = p.dtype == DType::f32;
  void* sums = direct ? p.dweight : workspace<float>(kSumsSlot, p.o * patch);
  for (i64 first = 0; first < pixels; first += step) {
    const i64 count = std::min(step, pixels - first);
    gather_patches(p.x, columns, g, first, count, p.dtype);
    Matmul product = plain_product(element(p.dy, first * p.o, p.dtype), true, columns, false, sums, p.o,
                                   patch, count, p.dtype);
    product.accumulate = first > 0;
    product_f32(product);
  }
  if (!direct) cast({sums, p.dweight, p.o * patch, DType::f32, p.dtype});
}

// dx of images [0, images) from columns [images, oh, ow, kh, kw, c]. A thread sums N channels of one pixel.
// Floor: columns read and dx written once.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    collect_patches(const float* columns, T* dx, const Geometry g, i64 images) {
  const i64 packs = g.c / N, threads = i64{gridDim.x} * kThreads;
  for (i64 i = i64{blockIdx.x} * kThreads + threadIdx.x; i < images * g.h * g.w * packs; i += threads) {
    const i64 pixel = i / packs, channel = i % packs * N;
    const i64 ix = pixel % g.w + g.pad, iy = pixel / g.w % g.h + g.pad, image = pixel / (g.w * g.h);
    float sum[N] = {};
    for (i64 ky = iy % g.stride; ky < g.kh && ky <= iy; ky += g.stride) {
      const i64 oy = (iy - ky) / g.stride;
      if (oy >= g.oh) continue;
      for (i64 kx = ix % g.stride; kx < g.kw && kx <= ix; kx += g.stride) {
        const i64 ox = (ix - kx) / g.stride;
        if (ox >= g.ow) continue;
        float v[N];
        load_floats(
            columns + (((image * g.oh + oy) * g.ow + ox) * g.kh * g.kw + ky * g.kw + kx) * g.c + channel, v);
#pragma unroll
        for (int e = 0; e < N; ++e) sum[e] += v[e];
      }
    }
    store_floats(dx + i * N, sum);
  }
}

template <class T>
void collect(const float* columns, void* to, const Geometry& g, i64 images) {
  T* dx = static_cast<T*>(to);
  const auto with = [&](auto n) {
    const i64 packs = images * g.h * g.w * (g.c / n());
    launch(collect_patches<T, n()>, grid_for(packs, kThreads, 16 * multiprocessors()), kThreads, 0, columns,
           dx, g, images);
  };
  if (g.c % 4 == 0 && reinterpret_cast<std::uintptr_t>(dx) % (4 * sizeof(T)) == 0)
    with(std::integral_constant<int, 4>());
  else
    with(std::integral_constant<int, 1>());
}

void input_gradient(const Conv2dBackward& p, const Geometry& g) {
  if (p.n * p.h * p.w * p.c == 0) return;
  const i64 pixels = g.pixels(), patch = g.patch();
  if (is_product(p))
    return matmul(plain_product(p.dy, false, p.weight, false, p.dx, g.n * pixels, patch, p.o, p.dtype));
  const i64 step = std::clamp<i64>(rows_per_chunk(patch) / std::max<i64>(1, pixels), 1, g.n);  // whole images
  float* columns = workspace<float>(kColumnsSlot, std::max<i64>(1, step * pixels * patch));
  for (i64 first = 0; first < g.n; first += step) {
    const i64 images = std::min(step, g.n - first);
    product_f32(plain_product(element(p.dy, first * pixels * p.o, p.dtype), false, p.weight, false, columns,
                              images * pixels, patch, p.o, p.dtype));
    with_type(p.dtype, [&](auto value) {
      collect<decltype(value)>(columns, element(p.dx, first * p.h * p.w * p.c, p.dtype), g, images);
    });
  }
}

}  // namespace

void conv2d_backward(const Conv2dBackward& p) {
#ifndef BP_SIMT
  if (!is_product(p) && library_conv2d_backward(p)) return;
#endif
  const Geometry g = geometry(p);
  if (p.dweight && p.o * g.patch() > 0) weight_gradient(p, g);
  if (p.dx) input_gradient(p, g);
}

}  // namespace bp::cuda
