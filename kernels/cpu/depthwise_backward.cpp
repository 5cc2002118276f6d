// Gradients of the depthwise 3x3 convolution. Input (iy, ix) and output ((iy + 1 - ky) / stride, (ix + 1 -
// kx) / stride) meet in both:
//   dx[iy][ix] += dy weight[ky][kx],  dweight[ky][kx] += x[iy][ix] dy,
// so a tile of inputs takes both from one set of loads. The weight's gradient is summed per block of rows,
// and the blocks' sums are added in order.
#include <algorithm>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/unrolled.h"

#include "kernels/cpu/depthwise.h"

namespace {

// Rows (or columns) of dy that `inputs` rows meet, and the tap through which row r meets the o-th of them: 0
// to 2, or none.
template <int stride>
constexpr int outputs_across(int inputs) {
  return stride == 1 ? inputs + 2 : inputs / 2 + 1;
}
template <int stride>
constexpr int tap_between(int r, int o) {
  return stride == 1 ? r + 2 - o : r + 1 - 2 * o;
}

template <int stride, class T>
using Gradients = Window<outputs_across<stride>(kTileRows), outputs_across<stride>(kTileCols), const T>;

template <class T>
struct Tile {
  Window<kTileRows, kTileCols, const T> x;
  Window<kTileRows, kTileCols, T> dx;
};

// Both gradients of a tile, or one; `sums` [9][c] are dweight's.
template <int stride, bool wants_dx, bool wants_dweight, class T>
void tile(const Gradients<stride, T>& dy, const Tile<T>& t, const T* weight, i64 c, bool past_caches,
          float* sums) {
  constexpr int kInputs = kTileRows * kTileCols, kTall = outputs_across<stride>(kTileRows),
                kWide = outputs_across<stride>(kTileCols);
  each_vector(
      c, [&](i64 i, i64 n) __attribute__((always_inline)) {
        vf w[9], g[9], out[kInputs];
        unrolled<9>([&](auto tap) __attribute__((always_inline)) {
          w[tap] = wants_dx ? load(weight + tap * c + i, n) : vf{};
          g[tap] = wants_dweight ? load(sums + tap * c + i, n) : vf{};
        });
        unrolled<kInputs>([&](auto j) __attribute__((always_inline)) { out[j] = vf{}; });
        // One flat loop: nested ones take the compiler minutes.
        unrolled<kTall * kWide * kInputs>([&](auto j) __attribute__((always_inline)) {
          constexpr int o = j / kInputs, oy = o % kTall, ox = o / kTall;
          constexpr int in = j % kInputs, r = in / kTileCols, q = in % kTileCols;
          constexpr int ky = tap_between<stride>(r, oy), kx = tap_between<stride>(q, ox);
          if constexpr (ky >= 0 && ky < 3 && kx >= 0 && kx < 3) {
            const vf d = load(dy.at[oy][ox] + i, n);
            if constexpr (wants_dx) out[in] += d * w[ky * 3 + kx];
            if constexpr (wants_dweight) g[ky * 3 + kx] += d * load(t.x.at[r][q] + i, n);
          }
        });
        if constexpr (wants_dweight)
          unrolled<9>([&](auto tap) __attribute__((always_inline)) { store(sums + tap * c + i, g[tap], n); });
        if constexpr (wants_dx) {
          const auto each_input = [&](auto put) __attribute__((always_inline)) {
            unrolled<kInputs>([&](auto j) __attribute__((always_inline)) {
              put(t.dx.at[j / kTileCols][j % kTileCols] + i, out[j]);
            });
          };
          if (past_caches)
            each_input([](T * to, vf v) __attribute__((always_inline)) { store_past(to, v); });
          else
            each_input([&](T * to, vf v) __attribute__((always_inline)) { store(to, v, n); });
        }
      });
}

template <int stride, bool wants_dx, bool wants_dweight, class T>
void run(const k::DepthwiseBackward& p) {
  const i64 oh = (p.h - 1) / stride + 1, ow = (p.w - 1) / stride + 1, c = p.c, taps = 9 * c;
  const T *x = static_cast<const T*>(p.x), *dy = static_cast<const T*>(p.dy);
  const T* weight = static_cast<const T*>(p.weight);
  T *dx = static_cast<T*>(p.dx), *dweight = static_cast<T*>(p.dweight);
  const Blocks blocks(p.n, p.h, p.w, c);
  T* const zeros = scratch<T>(0, c);
  for (i64 i = 0; i < c; ++i) zeros[i] = T{};
  float* const partial = scratch<float>(1, wants_dweight ? blocks.count() * taps : 0);
  const bool past_caches = wants_dx && streams(dx, p.n * p.h * p.w * c, c);
  parallel_for(blocks.count(), 1, [&](i64 begin, i64 end) {
    T* const nobody = scratch<T>(4, c);
    for (i64 k = begin; k < end; ++k) {
      float* const sums = partial + (wants_dweight ? k * taps : 0);
      if (wants_dweight) std::fill(sums, sums + taps, 0.0f);
      blocks.each_tile(k, [&](i64 image, i64 row, i64 col) {
        const i64 first = image * p.h * p.w * c;
        const Gradients<stride, T> d(dy + image * oh * ow * c, oh, ow, c, stride == 1 ? row - 1 : row / 2,
                                     stride == 1 ? col - 1 : col / 2, zeros);
        const Tile<T> t{{x + first, p.h, p.w, c, row, col, zeros},
                        {wants_dx ? dx + first : nobody, wants_dx ? p.h : 0, p.w, c, row, col, nobody}};
        if constexpr (kTileRows > 2) {
          tile<stride, wants_dx, wants_dweight, T>(d, t, weight, c, past_caches, sums);
        } else {  // nine weights and nine sums are more than 16 registers hold
          if (wants_dx) tile<stride, true, false, T>(d, t, weight, c, past_caches, sums);
          if (wants_dweight) tile<stride, false, true, T>(d, t, weight, c, past_caches, sums);
        }
      });
    }
    past_fence();
  });
  if (!wants_dweight) return;
  parallel_for(taps, 512, [&](i64 begin, i64 end) {
    each_vector(end - begin, [&](i64 i, i64 n) {
      vf total{};
      for (i64 k = 0; k < blocks.count(); ++k) total += load(partial + k * taps + begin + i, n);
      store(dweight + begin + i, total, n);
    });
  });
}

template <int stride, class T>
void run(const k::DepthwiseBackward& p) {
  if (p.dx && p.dweight) return run<stride, true, true, T>(p);
  if (p.dx) run<stride, true, false, T>(p);
  if (p.dweight) run<stride, false, true, T>(p);
}

template <class T>
void run(const k::DepthwiseBackward& p) {
  p.stride == 1 ? run<1, T>(p) : run<2, T>(p);
}

}  // namespace

void depthwise_backward(const k::DepthwiseBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
