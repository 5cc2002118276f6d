// Depthwise 3x3 convolution with padding 1. A tile of neighbouring outputs shares the loads of weights and of
// inputs; the vectors run over channels, so that memory is read in its order. Pixels outside the image point
// at a row of zeros and outputs outside at a row that nobody reads, so all tiles are alike.
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

template <int stride>
constexpr int inputs_across(int outputs) {
  return (outputs - 1) * stride + 3;
}

template <int stride, class T>
using Inputs = Window<inputs_across<stride>(kTileRows), inputs_across<stride>(kTileCols), const T>;
template <class T>
using Outputs = Window<kTileRows, kTileCols, T>;

constexpr int kOutputs = kTileRows * kTileCols;
struct Sums {
  vf of[kOutputs];
};

// The sums of a tile for the vector of n channels from i on.
template <int stride, class T>
BP_INLINE Sums convolve(const Inputs<stride, T>& x, const k::Depthwise& p, i64 i, i64 n) {
  const T *weight = static_cast<const T*>(p.weight) + i, *bias = static_cast<const T*>(p.bias);
  const vf start = bias ? load(bias + i, n) : vf{};
  vf w[9];
  unrolled<9>([&](auto tap) __attribute__((always_inline)) { w[tap] = load(weight + tap * p.c, n); });
  constexpr int kTall = inputs_across<stride>(kTileRows), kWide = inputs_across<stride>(kTileCols);
  Sums sums;
  unrolled<kOutputs>([&](auto o) __attribute__((always_inline)) { sums.of[o] = start; });
  unrolled<kTall * kWide * kOutputs>([&](auto j) __attribute__((always_inline)) {
    constexpr int in = j / kOutputs, iy = in % kTall, ix = in / kTall;
    constexpr int o = j % kOutputs, ky = iy - o / kTileCols * stride, kx = ix - o % kTileCols * stride;
    if constexpr (ky >= 0 && ky < 3 && kx >= 0 && kx < 3)
      sums.of[o] += load(x.at[iy][ix] + i, n) * w[ky * 3 + kx];
  });
  return sums;
}

// `bias + sums` of a tile to `to`, past the caches if wanted.
template <int stride, class T, class To>
void tile(const Inputs<stride, T>& x, const Outputs<To>& to, const k::Depthwise& p, bool past_caches) {
  each_vector(
      p.c, [&](i64 i, i64 n) __attribute__((always_inline)) {
        const Sums sums = convolve<stride, T>(x, p, i, n);
        const auto each = [&](auto put) __attribute__((always_inline)) {
          unrolled<kOutputs>([&](auto o) __attribute__((always_inline)) {
            put(to.at[o / kTileCols][o % kTileCols] + i, sums.of[o]);
          });
        };
        if (past_caches)
          each([](To * y, vf v) __attribute__((always_inline)) { store_past(y, v); });
        else
          each([&](To * y, vf v) __attribute__((always_inline)) { store(y, v, n); });
      });
}

// What a tile left in `sums` [kOutputs,c], activated. A loop of its own: with the activation's constants
// beside them, a tile's sums would not fit in registers.
template <class T>
void activate(const float* sums, const Outputs<T>& y, const k::Depthwise& p, bool past_caches) {
  for (int o = 0; o < kOutputs; ++o, sums += p.c) {
    T* const to = y.at[o / kTileCols][o % kTileCols];
    if (past_caches)
      for (i64 i = 0; i < p.c; i += kLanes) store_past(to + i, cpu::BP_ISA::activate(p.act, load(sums + i)));
    else
      each_vector(p.c,
                  [&](i64 i, i64 n) { store(to + i, cpu::BP_ISA::activate(p.act, load(sums + i, n)), n); });
  }
}

template <int stride, class T>
void run(const k::Depthwise& p) {
  const i64 oh = (p.h - 1) / stride + 1, ow = (p.w - 1) / stride + 1, c = p.c;
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  T* const zeros = scratch<T>(0, c);
  for (i64 i = 0; i < c; ++i) zeros[i] = T{};
  const Blocks blocks(p.n, oh, ow, c);
  const bool past_caches = streams(y, p.n * oh * ow * c, c);
  parallel_for(blocks.count(), 1, [&](i64 begin, i64 end) {
    T* const nobody = scratch<T>(4, c);
    float* const kept = scratch<float>(5, kOutputs * c);
    const Outputs<float> to_kept(kept, kTileRows, kTileCols, c, 0, 0, nullptr);
    for (i64 k = begin; k < end; ++k)
      blocks.each_tile(k, [&](i64 image, i64 row, i64 col) {
        const Inputs<stride, T> in(x + image * p.h * p.w * c, p.h, p.w, c, row * stride - 1, col * stride - 1,
                                   zeros);
        const Outputs<T> out(y + image * oh * ow * c, oh, ow, c, row, col, nobody);
        if (p.act == k::Act::none) return tile<stride, T>(in, out, p, past_caches);
        tile<stride, T>(in, to_kept, p, false);
        activate(kept, out, p, past_caches);
      });
    past_fence();
  });
}

template <class T>
void run(const k::Depthwise& p) {
  p.stride == 1 ? run<1, T>(p) : run<2, T>(p);
}

}  // namespace

void depthwise(const k::Depthwise& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
