// Convolutions of 3 x 3 by Winograd's minimal filtering F(4x4, 3x3) (Winograd 1980; Lavin and Gray,
// arXiv 1509.09308): a tile of 4 x 4 outputs Y comes from the 6 x 6 inputs D around it as
//   Y = A^T [(G W G^T) * (B^T D B)] A,  * element by element,
// so 36 multiplications do what 144 do as a product of patches. Sums over channels are taken before A, which
// makes 36 products [tiles, c] x [c, o], one for each place of the 6 x 6.
//
// A, B, G evaluate polynomials at 0, p, -p, q, -q and infinity and interpolate there. With p = 3/4, q = 3/2
// the constants of A and B are exact in f32. Largest error beside sums in f64 over the largest output, x and
// weight normal, 64 x 64 pixels, 64 filters: 1.9e-6, 2.3e-6, 3.6e-6 with 64, 128, 256 channels; the product
// of patches' is 0.8e-6, 1.3e-6, 1.9e-6. In a model of the arithmetic in units of the latter, with 64 and 256
// channels:
//   F(4x4), 3/4 and 3/2: 1.6, 2.0    F(4x4), 1 and 2: 4.8, 9.1       F(4x4), 1 and 1/2: 4.9, 8.7
//   F(4x4), 1/2 and 3/2: 2.8, 3.4    F(3x3), 0, 1, -1, 2: 1.9, 2.8    F(2x2), 0, 1, -1: 0.3, 0.4
// An infinity or NaN spreads over the tiles that see it.
//
// A block of tiles is transformed, multiplied with one panel of the weights after the other, and each
// panel's sums are transformed back at once: they and the block stay in the second-level cache.
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"
#include "kernels/cpu/winograd.h"

namespace {

constexpr int kOut = 4, kIn = 6, kPlaces = kIn * kIn;  // a tile's side, that of its inputs, and their number
constexpr float kP = 0.75f, kQ = 1.5f, kP2 = kP * kP, kQ2 = kQ * kQ;

constexpr int kStrips = BP_ISA_LEVEL == 512 ? 1 : 2;  // of tiles in a block
constexpr i64 kMostTiles = kStrips * kMR;

// y = B^T x of six vectors, in and out `step` apart.
BP_INLINE void transform_input(const vf* x, vf* y, int step) {
  const vf x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step], x5 = x[5 * step];
  const vf even_p = x4 - kQ2 * x2, odd_p = kP * (x3 - kQ2 * x1);
  const vf even_q = x4 - kP2 * x2, odd_q = kQ * (x3 - kP2 * x1);
  y[0] = x4 - (kP2 + kQ2) * x2 + kP2 * kQ2 * x0;
  y[step] = even_p + odd_p;
  y[2 * step] = even_p - odd_p;
  y[3 * step] = even_q + odd_q;
  y[4 * step] = even_q - odd_q;
  y[5 * step] = x5 - (kP2 + kQ2) * x3 + kP2 * kQ2 * x1;
}

// y = G x, of three vectors six.
BP_INLINE void transform_weight(const vf* x, int x_step, vf* y, int y_step) {
  constexpr float kZero = 1 / (kP2 * kQ2), kNearP = 1 / (2 * kP2 * (kP2 - kQ2)),
                  kNearQ = 1 / (2 * kQ2 * (kQ2 - kP2));
  const vf x0 = x[0], x1 = x[x_step], x2 = x[2 * x_step];
  const vf even_p = x0 + kP2 * x2, odd_p = kP * x1, even_q = x0 + kQ2 * x2, odd_q = kQ * x1;
  y[0] = kZero * x0;
  y[y_step] = kNearP * (even_p + odd_p);
  y[2 * y_step] = kNearP * (even_p - odd_p);
  y[3 * y_step] = kNearQ * (even_q + odd_q);
  y[4 * y_step] = kNearQ * (even_q - odd_q);
  y[5 * y_step] = x2;
}

// y = A^T x, of six vectors four.
BP_INLINE void transform_output(const vf* x, int x_step, vf* y, int y_step) {
  const vf near_p = x[x_step] + x[2 * x_step], far_p = x[x_step] - x[2 * x_step];
  const vf near_q = x[3 * x_step] + x[4 * x_step], far_q = x[3 * x_step] - x[4 * x_step];
  y[0] = x[0] + near_p + near_q;
  y[y_step] = kP * far_p + kQ * far_q;
  y[2 * y_step] = kP2 * near_p + kQ2 * near_q;
  y[3 * y_step] = kP2 * kP * far_p + kQ2 * kQ * far_q + x[5 * x_step];
}

template <class T>
class Winograd {
 public:
  explicit Winograd(const k::Conv2d& p) : p_(p) {}

  void run() const {
    const i64 tiles = p_.n * down_ * across_;
    if (tiles == 0) return;
    Word* const weights = scratch<Word>(3, panels_ * panel_size());
    const i64 chunks = blocks_of(p_.c, kLanes);
    parallel_for(panels_ * chunks, 1, [&](i64 begin, i64 end) {
      for (i64 i = begin; i < end; ++i) pack_weights(i / chunks, i % chunks * kLanes, weights);
    });
    const i64 blocks = blocks_of(blocks_of(tiles, kMostTiles), threads()) * threads();
    const i64 size = blocks_of(tiles, blocks);
    parallel_for(blocks_of(tiles, size), 1, [&](i64 begin, i64 end) {
      float* const sums = scratch<float>(6, kPlaces * kMostTiles * kNR);
      float* const inputs = scratch<float>(7, kPlaces * kMostTiles * row_);
      for (i64 b = begin; b < end; ++b)
        block(b * size, std::min(size, tiles - b * size), weights, inputs, sums);
    });
  }

 private:
  // A place's part of a panel: places lie in different sets of a cache.
  i64 part_size() const { return p_.c * kNR + 16; }
  i64 panel_size() const { return kPlaces * part_size(); }

  struct Corner {  // of a tile's outputs
    i64 image, y, x;
  };
  Corner corner(i64 tile) const {
    return {tile / (down_ * across_), tile / across_ % down_ * kOut, tile % across_ * kOut};
  }

  // G W G^T for one panel and the channels [c0, c0 + kLanes), to [panel][place][c][kNR].
  void pack_weights(i64 panel, i64 c0, Word* to) const {
    const i64 channels = std::min<i64>(kLanes, p_.c - c0);
    for (int v = 0; v < kNV; ++v) {
      const i64 o = panel * kNR + v * kLanes;
      const T* const from = static_cast<const T*>(p_.weight) + o * 9 * p_.c + c0;
      vi taps[9][kLanes];  // [tap][c], lanes are outputs
      for (int tap = 0; tap < 9; ++tap) {
        for (int i = 0; i < kLanes; ++i)
          taps[tap][i] =
              o + i < p_.o ? reinterpret_cast<vi>(load(from + (i * 9 + tap) * p_.c, channels)) : vi{};
        transpose(taps[tap]);
      }
      Word* const at = to + panel * panel_size() + c0 * kNR + v * kLanes;
      for (i64 c = 0; c < channels; ++c) {
        vf w[9], half[3 * kIn], all[kPlaces];
#pragma GCC unroll 9
        for (int tap = 0; tap < 9; ++tap) w[tap] = reinterpret_cast<vf>(taps[tap][c]);
#pragma GCC unroll 3
        for (int x = 0; x < 3; ++x) transform_weight(w + x, 3, half + x, 3);
#pragma GCC unroll 6
        for (int y = 0; y < kIn; ++y) transform_weight(half + 3 * y, 1, all + kIn * y, 1);
#pragma GCC unroll 36
        for (int place = 0; place < kPlaces; ++place)
          store(at + place * part_size() + c * kNR, reinterpret_cast<vi>(all[place]));
      }
    }
  }

  // `count` tiles from `first` on.
  void block(i64 first, i64 count, const Word* weights, float* inputs, float* sums) const {
    const i64 place_size = kMostTiles * row_;
    for (i64 t = 0; t < count; ++t) read_tile(corner(first + t), inputs + t * row_);
    for (i64 panel = 0; panel < panels_; ++panel, weights += panel_size()) {
      const i64 width = std::min<i64>(kNR, p_.o - panel * kNR);
      for (i64 place = 0; place < kPlaces; ++place)
        for (i64 t = 0; t < count; t += kMR) {
          const float* const a = inputs + place * place_size + t * row_;
          F32Tile::run_rows(static_cast<int>(std::min<i64>(kMR, count - t)), width <= kLanes,
                            reinterpret_cast<const Word*>(a), row_, weights + place * part_size(), p_.c,
                            sums + (place * kMostTiles + t) * kNR, kNR, false,
                            reinterpret_cast<const Word*>(a + place_size), kMR);
        }
      for (i64 t = 0; t < count; ++t) write_tile(corner(first + t), panel * kNR, width, sums + t * kNR);
    }
  }

  // B^T D B of a tile: place i to `to` + i kMostTiles row_.
  void read_tile(const Corner& at, float* to) const {
    const T* const image = static_cast<const T*>(p_.x) + at.image * p_.h * p_.w * p_.c;
    const i64 top = at.y - 1, left = at.x - 1;
    const int y0 = top < 0, y1 = static_cast<int>(std::min<i64>(kIn, p_.h - top));
    const int x0 = left < 0, x1 = static_cast<int>(std::min<i64>(kIn, p_.w - left));
    each_vector(p_.c, [&](i64 c, i64 n) {
      const T* const from = image + (top * p_.w + left) * p_.c + c;
      vf d[kPlaces] = {};
      if (y1 - y0 == kIn && x1 - x0 == kIn) {
#pragma GCC unroll 36
        for (int i = 0; i < kPlaces; ++i) d[i] = load(from + (i / kIn * p_.w + i % kIn) * p_.c, n);
      } else {
        for (int y = y0; y < y1; ++y)
          for (int x = x0; x < x1; ++x) d[y * kIn + x] = load(from + (y * p_.w + x) * p_.c, n);
      }
#pragma GCC unroll 6
      for (int x = 0; x < kIn; ++x) transform_input(d + x, d + x, kIn);
#pragma GCC unroll 6
      for (int y = 0; y < kIn; ++y) transform_input(d + y * kIn, d + y * kIn, 1);
#pragma GCC unroll 36
      for (int i = 0; i < kPlaces; ++i) store(to + i * kMostTiles * row_ + c, d[i]);
    });
  }

  // act(A^T sums A + bias) of a tile's outputs [o, o + width).
  void write_tile(const Corner& at, i64 o, i64 width, const float* sums) const {
    T* const y = static_cast<T*>(p_.y) + ((at.image * p_.h + at.y) * p_.w + at.x) * p_.o + o;
    const i64 rows = std::min<i64>(kOut, p_.h - at.y), columns = std::min<i64>(kOut, p_.w - at.x);
    each_vector(width, [&](i64 i, i64 n) {
      vf s[kPlaces], half[kOut * kIn], out[kOut * kOut];
#pragma GCC unroll 36
      for (int place = 0; place < kPlaces; ++place) s[place] = load(sums + place * kMostTiles * kNR + i);
#pragma GCC unroll 6
      for (int x = 0; x < kIn; ++x) transform_output(s + x, kIn, half + x, kIn);
#pragma GCC unroll 4
      for (int r = 0; r < kOut; ++r) transform_output(half + r * kIn, 1, out + r * kOut, 1);
      const vf bias = p_.bias ? load(static_cast<const T*>(p_.bias) + o + i, n) : vf{};
      for (i64 r = 0; r < rows; ++r)
        for (i64 x = 0; x < columns; ++x)
          store(y + (r * p_.w + x) * p_.o + i, activate(p_.act, out[r * kOut + x] + bias), n);
    });
  }

  const k::Conv2d& p_;
  const i64 down_ = blocks_of(p_.h, kOut), across_ = blocks_of(p_.w, kOut);  // tiles of an image
  const i64 panels_ = blocks_of(p_.o, kNR);
  const i64 row_ = blocks_of(p_.c, kLanes) * kLanes + 16;  // of inputs: not a multiple of 4096 bytes
};

// Whether it takes less time than a product of patches. In the time that an output takes as such a product, a
// tile takes 4 outputs', and the transform of the weights 50; with VDPBF16PS the product takes half as long.
bool gains(const k::Conv2d& p) {
  constexpr i64 kLeast = 8;  // channels
  if (p.kh != 3 || p.kw != 3 || p.stride != 1 || p.pad != 1 || std::min(p.c, p.o) < kLeast) return false;
  if (p.dtype == DType::bf16 && bf16_amx()) return false;
  const i64 cost = 4 * blocks_of(p.h, kOut) * blocks_of(p.w, kOut) + 64;
  return p.h * p.w >= (p.dtype == DType::bf16 && bf16_dot() ? 2 : 1) * cost;
}

}  // namespace

bool conv2d_winograd(const k::Conv2d& p) {
  if (!gains(p)) return false;
  p.dtype == DType::f32 ? Winograd<float>(p).run() : Winograd<bf16>(p).run();
  return true;
}
#include "kernels/cpu/isa_end.h"
