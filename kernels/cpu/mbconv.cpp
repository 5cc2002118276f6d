// MBConv (and TinyViT's merging) without its maps between: a thread walks down a strip of the image's
// columns, a few rows of outputs at a time. Rows of the expanded map live in a ring, whose rows are replaced
// as the depthwise convolution is done with them, so everything between x and y stays in the second-level
// cache. Numbers are those of the three convolutions, computed in the same order.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/unrolled.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"

#include "kernels/cpu/depthwise.h"
#include "kernels/cpu/depthwise_tile.h"
#include "kernels/cpu/product_local.h"

namespace {

// Bytes of a strip's rows between x and y; weights take up to 300 KB more.
constexpr i64 kRoom = i64{640} << 10;

// How the outputs are cut into units of work: strips of columns as wide as kRoom allows, and these into
// segments, whose first and last rows of the expanded map are computed twice.
struct Units {
  i64 oh, ow, cols, strips, rows, segments;
  struct Unit {
    i64 image, row0, row1, col0, col1;
  };
  Units(const k::MbConv& p, i64 ring, i64 item) : oh((p.h - 1) / p.stride + 1), ow((p.w - 1) / p.stride + 1) {
    const i64 most = kRoom / ((ring * p.stride + kTileRows) * p.hidden * item);
    // So wide that a row of the strip and its neighbours are whole strips of the product.
    const i64 whole = (most * p.stride / kMR * kMR - 2) / p.stride;
    cols = ow <= most ? ow : std::max<i64>(kTileCols, whole);
    strips = blocks_of(ow, cols);
    const i64 base = p.n * strips, wanted = threads() == 1 ? 1 : 8 * threads();
    segments = std::max(blocks_of(threads(), base), std::min(blocks_of(wanted, base), oh / 32));
    rows = blocks_of(oh, segments);
    segments = blocks_of(oh, rows);
  }
  i64 count(i64 images) const { return images * strips * segments; }
  Unit operator[](i64 i) const {
    const i64 row = i / strips % segments * rows, col = i % strips * cols;
    return {i / strips / segments, row, std::min(oh, row + rows), col, std::min(ow, col + cols)};
  }
};

// A thread's memory.
template <class T>
struct Space {
  T *ring, *middle, *nobody, *rows;
  float *sums, *kept;
  Word* strip;
};

template <class Tile, class T, int stride>
class Walk {
  using Product = LocalProduct<Tile, T>;

 public:
  // Rows of the expanded map that a tile of outputs sees.
  static constexpr i64 kRing = inputs_across<stride>(kTileRows);

  Walk(const k::MbConv& p, const T* zeros, const float* project_bias)
      : p_(p),
        zeros_(zeros),
        project_bias_(project_bias),
        to_hidden_(p.c, p.hidden, p.packed_expand),
        to_output_(p.hidden, p.o, p.packed_project),
        units_(p, kRing, sizeof(T)) {
    depthwise_.weight = p.spatial, depthwise_.bias = p.spatial_bias, depthwise_.c = p.hidden;
    depthwise_.act = k::Act::gelu;
  }

  void run() const {
    parallel_for(units_.count(p_.n), 1, [&](i64 begin, i64 end) {
      const Space<T> space = take();
      Tile::begin();
      for (i64 i = begin; i < end; ++i) run(units_[i], space);
      Tile::end();
    });
  }

 private:
  i64 widest() const { return std::min(p_.w, units_.cols * stride + 2); }  // of a unit's expanded rows

  Space<T> take() const {
    const i64 c = p_.hidden;
    T* const ring = scratch<T>(4, kRing * widest() * c);
    T* const middle = scratch<T>(5, (kTileRows * units_.cols + 1) * c);
    const i64 most_sums = std::max(to_hidden_.sums(), to_output_.sums()), strip_words = Product::kStrip;
    float* const sums = scratch<float>(6, most_sums + kOutputs * c);
    Word* const strip = scratch<Word>(7, strip_words + widest() * p_.c);
    return {ring,
            middle,
            middle + kTileRows * units_.cols * c,
            reinterpret_cast<T*>(strip + strip_words),
            sums,
            sums + most_sums,
            strip};
  }

  void run(const Units::Unit& u, const Space<T>& space) const {
    // Columns of the expanded map that the strip sees, and the next row to expand.
    const i64 left = std::max<i64>(0, u.col0 * stride - 1), right = std::min(p_.w, (u.col1 - 1) * stride + 2);
    i64 next = std::max<i64>(0, u.row0 * stride - 1);
    for (i64 row = u.row0; row < u.row1; row += kTileRows) {
      const i64 rows = std::min<i64>(kTileRows, u.row1 - row);
      const i64 until = std::min(p_.h, (row + rows - 1) * stride + 2);
      for (; next < until; ++next) expand(u.image, next, left, right, space);
      for (i64 col = u.col0; col < u.col1; col += kTileCols)
        convolve(u, row, rows, col, left, right, until, space);
      project(u, row, rows, space);
    }
  }

  T* ring_row(i64 row, const Space<T>& space) const {
    return space.ring + row % kRing * widest() * p_.hidden;
  }

  void expand(i64 image, i64 row, i64 left, i64 right, const Space<T>& space) const {
    const float* const x = p_.x + ((image * p_.h + row) * p_.w + left) * p_.c;
    const T* a = nullptr;
    if constexpr (std::is_same_v<T, float>) {
      a = x;
    } else {
      each_vector((right - left) * p_.c, [&](i64 i, i64 n) { store(space.rows + i, load(x + i, n), n); });
      a = space.rows;
    }
    T* const to = ring_row(row, space);
    k::Matmul m{};
    m.alpha = 1, m.act = k::Act::gelu, m.ldc = p_.hidden;
    to_hidden_(a, right - left, a + p_.w * p_.c, space.sums, space.strip,
               [&](const float* sums, i64 first, i64 rows, i64 column, i64 width) {
                 finish_rows<T>(m, sums, kNR, rows, width, static_cast<const T*>(p_.expand_bias) + column,
                                nullptr, to + first * p_.hidden + column);
               });
  }

  // A tile of the depthwise convolution, outputs (row, col) on, to its place in the middle map.
  void convolve(const Units::Unit& u, i64 row, i64 rows, i64 col, i64 left, i64 right, i64 until,
                const Space<T>& space) const {
    const i64 c = p_.hidden, cols = u.col1 - u.col0;
    const Inputs<stride, T> in([&](int r, int t) {
      const i64 y = row * stride - 1 + r, x = col * stride - 1 + t;
      return y >= 0 && y < until && x >= left && x < right ? ring_row(y, space) + (x - left) * c : zeros_;
    });
    const Outputs<T> out([&](int r, int t) {
      return r < rows && col + t < u.col1 ? space.middle + (r * cols + col - u.col0 + t) * c : space.nobody;
    });
    const Outputs<float> to_kept(space.kept, kTileRows, kTileCols, c, 0, 0, nullptr);
    convolve_tile<stride, T>(in, to_kept, depthwise_, false);
    activate_tile(space.kept, out, depthwise_, false);
  }

  void project(const Units::Unit& u, i64 row, i64 rows, const Space<T>& space) const {
    const i64 cols = u.col1 - u.col0;
    const i64 corner = (u.image * units_.oh + row) * units_.ow + u.col0;
    to_output_(space.middle, rows * cols, space.middle, space.sums, space.strip,
               [&](const float* sums, i64 first, i64 count, i64 column, i64 width) {
                 for (i64 i = 0; i < count; ++i) {
                   const i64 pixel = corner + (first + i) / cols * units_.ow + (first + i) % cols;
                   finish(sums + i * kNR, column, width, pixel);
                 }
               });
  }
  BP_INLINE void finish(const float* sums, i64 column, i64 width, i64 pixel) const {
    const float *const bias = project_bias_ + column, *const x = p_.x + pixel * p_.o + column;
    float* const y = p_.y + pixel * p_.o + column;
    each_vector(width, [&](i64 i, i64 n) {
      const vf v = load(sums + i) + load(bias + i, n);
      store(y + i, p_.shortcut ? gelu(v + load(x + i, n)) : v, n);
    });
  }

  const k::MbConv& p_;
  const T* zeros_;
  const float* project_bias_;
  Product to_hidden_, to_output_;
  Units units_;
  k::Depthwise depthwise_{};
};

template <class T>
void run(const k::MbConv& p) {
  T* const zeros = scratch<T>(0, p.hidden);
  for (i64 i = 0; i < p.hidden; ++i) zeros[i] = T{};
  float* const bias = scratch<float>(1, p.o);
  for (i64 i = 0; i < p.o; ++i) bias[i] = to_f32(static_cast<const T*>(p.project_bias)[i]);
  with_tile<T>([&](auto tile) {
    if (p.stride == 1)
      Walk<decltype(tile), T, 1>(p, zeros, bias).run();
    else
      Walk<decltype(tile), T, 2>(p, zeros, bias).run();
  });
}

}  // namespace

void mbconv(const k::MbConv& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
