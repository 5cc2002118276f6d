// Convolution as a matrix product: the patch of the input under each output pixel is one row of kh*kw*c
// columns, which is multiplied by the weight. Forward, strips of patches are packed from the image as the
// product wants them (product.h). The backward makes matrices of patches, a chunk of pixels at a time; its
// sums run over chunks and stay f32.
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/conv2d_direct.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/winograd.h"

namespace {

constexpr int kSlot = 0, kSumsSlot = 1;  // products keep 3, 6 and 7 for themselves (kernels/threads.h)
constexpr i64 kColumns = i64{1} << 19;   // elements of the matrix of patches at once: 2 MB in f32

struct Geometry {
  i64 n, h, w, c, kh, kw, stride, pad, oh, ow;
  i64 patch() const { return kh * kw * c; }
  i64 pixels() const { return n * oh * ow; }
};

template <class P>
Geometry geometry(const P& p) {
  return {p.n,
          p.h,
          p.w,
          p.c,
          p.kh,
          p.kw,
          p.stride,
          p.pad,
          (p.h + 2 * p.pad - p.kh) / p.stride + 1,
          (p.w + 2 * p.pad - p.kw) / p.stride + 1};
}

template <class From, class To>
BP_INLINE void copy(const From* from, To* to, i64 n) {
  if constexpr (std::is_same_v<From, To>) {
    __builtin_memcpy(to, from, static_cast<std::size_t>(n) * sizeof(To));
  } else {
    i64 i = 0;
    for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
    for (; i < n; ++i) to[i] = from_f32<To>(to_f32(from[i]));
  }
}
// The same where up to a vector after the n elements may be written as well. Runs are short: a call of memcpy
// takes longer than the copy.
template <class From, class To>
BP_INLINE void copy_over(const From* from, To* to, i64 n) {
  if constexpr (std::is_same_v<From, bf16> && std::is_same_v<To, bf16>)
    copy(from, to, n);
  else
    each_vector(n, [&](i64 i, i64 part) { store(to + i, load(from + i, part)); });
}
template <class T>
BP_INLINE void zero(T* to, i64 n) {
  for (i64 i = 0; i < n; ++i) to[i] = T{};
}

// Patches of output pixels [first, first + count).
template <class T>
void gather_patches(const T* x, const Geometry& g, i64 first, i64 count, T* columns) {
  const i64 run = g.kw * g.c;
  parallel_for(count, std::max<i64>(1, 16384 / g.patch()), [&](i64 begin, i64 end) {
    T* to = columns + begin * g.patch();
    i64 ox = (first + begin) % g.ow, oy = (first + begin) / g.ow % g.oh;
    const T* image = x + (first + begin) / (g.ow * g.oh) * g.h * g.w * g.c;
    for (i64 p = begin; p < end; ++p) {
      const i64 ix = ox * g.stride - g.pad, iy = oy * g.stride - g.pad;
      // Columns of the patch that lie inside the image: [left, right).
      const i64 left = std::min(g.kw, std::max<i64>(0, -ix)),
                right = std::max(left, std::min(g.kw, g.w - ix));
      for (i64 y = iy; y < iy + g.kh; ++y, to += run) {
        if (y < 0 || y >= g.h) {
          zero(to, run);
          continue;
        }
        zero(to, left * g.c);
        copy(image + (y * g.w + ix + left) * g.c, to + left * g.c, (right - left) * g.c);
        zero(to + right * g.c, (g.kw - right) * g.c);
      }
      if (++ox < g.ow) continue;
      ox = 0;
      if (++oy < g.oh) continue;
      oy = 0;
      image += g.h * g.w * g.c;
    }
  });
}

constexpr i64 kLongRun = 64;  // elements of a patch that lie side by side

// Strips of patches, for product.h.
template <class Tile, class T>
struct Patches {
  using To = std::conditional_t<Tile::kPair == 1, float, T>;
  const Geometry& g;

  void pack(const T* x, i64 row, i64 rows, i64 k0, i64 kn, i64 words, Word* strip) const {
    i64 ox = row % g.ow, oy = row / g.ow % g.oh, n = row / (g.ow * g.oh);
    const i64 ky = k0 / (g.kw * g.c);
    for (i64 i = 0; i < rows; ++i, strip += kAStride) {
      To* const to = reinterpret_cast<To*>(strip);
      const T* const image = x + n * g.h * g.w * g.c;
      const i64 iy = oy * g.stride - g.pad, ix = ox * g.stride - g.pad;
      if (kn == g.patch() && iy >= 0 && iy + g.kh <= g.h && ix >= 0 && ix + g.kw <= g.w)
        pack_inside(image + (iy * g.w + ix) * g.c, to);
      else
        pack_patch(image, iy, ix, ky, k0, k0 + kn, to);
      zero(to + kn, words * Tile::kPair - kn);
      if (++ox < g.ow) continue;
      ox = 0;
      if (++oy < g.oh) continue;
      oy = 0, ++n;
    }
  }
  static constexpr bool kInPlace = false;
  static bool in_place() { return false; }
  // The image's rows under the next strip, where runs are too short for the hardware to see them coming.
  void prefetch(const T* x, i64 row, i64 rows, i64 k0, i64, i64 part, i64) const {
    const i64 run = g.kw * g.c;
    if (part != 0 || k0 != 0 || run >= kLongRun) return;
    const i64 ox = row % g.ow, oy = row / g.ow % g.oh, n = row / (g.ow * g.oh);
    const i64 left = std::max<i64>(0, ox * g.stride - g.pad), top = std::max<i64>(0, oy * g.stride - g.pad);
    const i64 wide = std::min(g.w - left, rows * g.stride) * g.c;
    for (i64 y = top; y < std::min(g.h, top + g.kh); ++y) fetch(x + ((n * g.h + y) * g.w + left) * g.c, wide);
  }

 private:
  // A whole patch that lies inside the image, from its corner on.
  BP_INLINE void pack_inside(const T* corner, To* to) const {
    const i64 run = g.kw * g.c;
    for (i64 ky = 0; ky < g.kh; ++ky) copy_over(corner + ky * g.w * g.c, to + ky * run, run);
  }
  // Elements [begin, end) of the patch whose corner is (iy, ix); begin lies in its row ky.
  BP_INLINE void pack_patch(const T* image, i64 iy, i64 ix, i64 ky, i64 begin, i64 end, To* to) const {
    const i64 run = g.kw * g.c;
    // Columns of the patch that lie inside the image: [left, right).
    const i64 left = std::min(g.kw, std::max<i64>(0, -ix)), right = std::max(left, std::min(g.kw, g.w - ix));
    for (; ky * run < end; ++ky) {
      const i64 first = std::max<i64>(0, begin - ky * run), last = std::min(run, end - ky * run), y = iy + ky;
      const bool inside = y >= 0 && y < g.h;
      const i64 from = inside ? std::clamp(left * g.c, first, last) : last,
                until = inside ? std::clamp(right * g.c, first, last) : last;
      zero(to, from - first);
      if (until > from) copy_over(image + (y * g.w + ix) * g.c + from, to + (from - first), until - from);
      zero(to + (until - first), last - until);
      to += last - first;
    }
  }
};

template <class T>
void run(const k::Conv2d& p) {
  const Geometry g = geometry(p);
  k::Matmul m{};
  m.a = p.x, m.b = p.weight, m.c = p.y, m.bias = p.bias;
  m.m = g.pixels(), m.n = p.o, m.k = g.patch(), m.tb = true;
  m.ldb = g.patch(), m.ldc = p.o;
  m.batch = 1, m.alpha = 1, m.act = p.act, m.dtype = p.dtype, m.packed = p.packed;
  if (m.m == 0 || m.n == 0) return;
  with_tile<T>([&](auto tile) { multiply<decltype(tile), T, T>(m, Patches<decltype(tile), T>{g}); });
}

// C = op(A) B for a B [depth,n].
k::Matmul product(const void* a, bool ta, i64 lda, const void* b, void* c, i64 m, i64 n, i64 depth,
                  DType dtype) {
  k::Matmul p{};
  p.a = a, p.b = b, p.c = c;
  p.m = m, p.n = n, p.k = depth, p.ta = ta;
  p.lda = lda, p.ldb = n, p.ldc = n;
  p.batch = 1, p.alpha = 1, p.act = k::Act::none, p.dtype = dtype;
  return p;
}

// dweight = sum over pixels of dy^T patch.
template <class T>
void weight_gradient(const k::Conv2dBackward& p, const Geometry& g) {
  const T *x = static_cast<const T*>(p.x), *dy = static_cast<const T*>(p.dy);
  const i64 patch = g.patch(), step = std::min(g.pixels(), std::max<i64>(64, kColumns / patch));
  if (step == 0) return fill({p.dweight, p.o * patch, 0, p.dtype});
  T* columns = scratch<T>(kSlot, step * patch);
  float* sums = nullptr;
  if constexpr (std::is_same_v<T, float>)
    sums = static_cast<float*>(p.dweight);
  else
    sums = scratch<float>(kSumsSlot, p.o * patch);
  for (i64 first = 0; first < g.pixels(); first += step) {
    const i64 count = std::min(step, g.pixels() - first);
    gather_patches(x, g, first, count, columns);
    k::Matmul m = product(dy + first * p.o, true, p.o, columns, sums, p.o, patch, count, p.dtype);
    m.accumulate = first > 0;
    matmul_tn_f32(m);
  }
  if constexpr (!std::is_same_v<T, float>) cast({sums, p.dweight, p.o * patch, DType::f32, DType::bf16});
}

// The patches' gradients dy weight, of `images` images, added up where they overlap: each input pixel
// collects from the output pixels that saw it.
template <class T>
void collect_patches(const float* columns, const Geometry& g, i64 images, T* dx) {
  const i64 patch = g.patch();
  parallel_for(images * g.h, 1, [&](i64 begin, i64 end) {
    float* row = scratch<float>(4, g.w * g.c);
    for (i64 item = begin; item < end; ++item) {
      const i64 image = item / g.h, iy = item % g.h;
      zero(row, g.w * g.c);
      for (i64 ky = 0; ky < g.kh; ++ky) {
        const i64 shifted = iy + g.pad - ky, oy = shifted / g.stride;
        if (shifted < 0 || shifted % g.stride != 0 || oy >= g.oh) continue;
        for (i64 ox = 0; ox < g.ow; ++ox) {
          const i64 ix = ox * g.stride - g.pad;
          const i64 left = std::min(g.kw, std::max<i64>(0, -ix)),
                    right = std::max(left, std::min(g.kw, g.w - ix));
          const float* from = columns + ((image * g.oh + oy) * g.ow + ox) * patch + (ky * g.kw + left) * g.c;
          float* to = row + (ix + left) * g.c;
          const i64 n = (right - left) * g.c;
          i64 i = 0;
          for (; i + kLanes <= n; i += kLanes) store(to + i, load(to + i) + load(from + i));
          for (; i < n; ++i) to[i] += from[i];
        }
      }
      copy(row, dx + item * g.w * g.c, g.w * g.c);
    }
  });
}

template <class T>
void input_gradient(const k::Conv2dBackward& p, const Geometry& g) {
  const T* dy = static_cast<const T*>(p.dy);
  const i64 patch = g.patch(), pixels = g.oh * g.ow;
  const i64 step = std::min(g.n, std::max<i64>(1, kColumns / (pixels * patch)));  // whole images
  float* columns = scratch<float>(kSlot, step * pixels * patch);
  for (i64 first = 0; first < g.n; first += step) {
    const i64 images = std::min(step, g.n - first), count = images * pixels;
    const k::Matmul m =
        product(dy + first * pixels * p.o, false, p.o, p.weight, columns, count, patch, p.o, p.dtype);
    with_tile<T>([&](auto tile) { multiply<decltype(tile), T, float>(m, Matrix<decltype(tile), T>{m}); });
    collect_patches(columns, g, images, static_cast<T*>(p.dx) + first * g.h * g.w * g.c);
  }
}

template <class T>
void run(const k::Conv2dBackward& p) {
  const Geometry g = geometry(p);
  if (p.dweight) weight_gradient<T>(p, g);
  if (p.dx) input_gradient<T>(p, g);
}

}  // namespace

void conv2d(const k::Conv2d& p) {
  if (conv2d_direct(p) || conv2d_winograd(p)) return;
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void conv2d_backward(const k::Conv2dBackward& p) {
  if (conv2d_direct(p)) return;
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
