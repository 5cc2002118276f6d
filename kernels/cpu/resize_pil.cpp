// PIL's antialiased bilinear resize on 8 bits: a triangle filter, widened by the scale when shrinking, in two
// passes with 22-bit weights and an 8-bit result between them. Bit-equal to Pillow, so a network sees the
// pixels it was trained on.
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/threads.h"

namespace {

constexpr int kWeightBits = 22;

// For each output index i: weight[i * taps + t] of input first[i] + t, for t < count[i].
struct Axis {
  bp::i64 taps;
  bp::i64* first;
  bp::i64* count;
  std::int32_t* weight;
};

// Pillow's arithmetic in its order. Contracted into a fused multiply-add, a sum that falls on a whole number
// could truncate to its neighbour, so this function stays at the baseline and forbids it.
[[gnu::optimize("fp-contract=off"), gnu::noinline]] Axis make_axis(bp::i64 in, bp::i64 out, int slot) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);
  const double per_tap = 1.0 / support;
  Axis axis;
  axis.taps = static_cast<bp::i64>(std::ceil(support)) * 2 + 1;
  axis.first = bp::scratch<bp::i64>(slot, 2 * out + axis.taps + (out * axis.taps + 1) / 2);
  axis.count = axis.first + out;
  auto* exact = reinterpret_cast<double*>(axis.count + out);
  axis.weight = reinterpret_cast<std::int32_t*>(exact + axis.taps);
  for (bp::i64 i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const bp::i64 begin = std::max(static_cast<bp::i64>(centre - support + 0.5), bp::i64{0});
    const bp::i64 end = std::min(static_cast<bp::i64>(centre + support + 0.5), in);
    double sum = 0;
    for (bp::i64 t = 0; t < end - begin; ++t) {
      const double at = std::abs((static_cast<double>(t + begin) - centre + 0.5) * per_tap);
      exact[t] = at < 1.0 ? 1.0 - at : 0.0;
      sum += exact[t];
    }
    std::int32_t* weight = axis.weight + i * axis.taps;
    for (bp::i64 t = 0; t < end - begin; ++t)
      weight[t] =
          static_cast<std::int32_t>(0.5 + (sum != 0 ? exact[t] / sum : exact[t]) * (1 << kWeightBits));
    axis.first[i] = begin;
    axis.count[i] = end - begin;
  }
  return axis;
}

}  // namespace

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"

namespace {

typedef u8 vb_any __attribute__((vector_size(kLanes), aligned(1), may_alias));

constexpr std::uint32_t kHalf = 1u << (kWeightBits - 1);

// Sums are taken modulo 2^32, as weights of extreme reductions may round to more than one in total.
BP_INLINE u8 to_8_bits(std::uint32_t sum) {
  const std::int32_t v = static_cast<std::int32_t>(sum) >> kWeightBits;
  return static_cast<u8>(v < 0 ? 0 : v > 255 ? 255 : v);
}

// One row of `out` pixels from one row of the input.
template <int C>
BP_INLINE void horizontal(const u8* x, u8* y, i64 out, const Axis& axis) {
  for (i64 i = 0; i < out; ++i) {
    const u8* p = x + axis.first[i] * C;
    const std::int32_t* weight = axis.weight + i * axis.taps;
    std::uint32_t sum[C];
    for (int c = 0; c < C; ++c) sum[c] = kHalf;
    const i64 count = axis.count[i];
    for (i64 t = 0; t < count; ++t)
      for (int c = 0; c < C; ++c) sum[c] += static_cast<std::uint32_t>(p[t * C + c] * weight[t]);
    for (int c = 0; c < C; ++c) y[i * C + c] = to_8_bits(sum[c]);
  }
}

void horizontal_any(const u8* x, u8* y, i64 out, i64 channels, const Axis& axis) {
  switch (channels) {
    case 1:
      return horizontal<1>(x, y, out, axis);
    case 2:
      return horizontal<2>(x, y, out, axis);
    case 3:
      return horizontal<3>(x, y, out, axis);
    default:
      return horizontal<4>(x, y, out, axis);
  }
}

// `bytes` weighted sums down `count` rows that lie `bytes` apart.
void vertical(const u8* x, u8* y, i64 bytes, i64 count, const std::int32_t* weight) {
  constexpr int kWide = 4;  // vectors of sums held in registers
  i64 j = 0;
  for (; j + kWide * kLanes <= bytes; j += kWide * kLanes) {
    vu sum[kWide];
    for (auto& s : sum) s = vu{} + kHalf;
    for (i64 t = 0; t < count; ++t)
      for (int v = 0; v < kWide; ++v) {
        const vb_any row = *reinterpret_cast<const vb_any*>(x + t * bytes + j + v * kLanes);
        sum[v] += __builtin_convertvector(row, vu) * static_cast<std::uint32_t>(weight[t]);
      }
    for (int v = 0; v < kWide; ++v) {
      vi r = reinterpret_cast<vi>(sum[v]) >> kWeightBits;
      r = r < 0 ? vi{} : r > 255 ? vi{} + 255 : r;
      *reinterpret_cast<vb_any*>(y + j + v * kLanes) = __builtin_convertvector(r, vb_any);
    }
  }
  for (; j < bytes; ++j) {
    std::uint32_t sum = kHalf;
    for (i64 t = 0; t < count; ++t) sum += static_cast<std::uint32_t>(x[t * bytes + j] * weight[t]);
    y[j] = to_8_bits(sum);
  }
}

}  // namespace

// Each range of output rows resizes the input rows under it horizontally into a buffer of its own
// (neighbouring ranges share a few rows and do them twice), then vertically from there, while they are in the
// cache.
void resize_pil(const k::ResizePil& a) {
  const Axis across = make_axis(a.w, a.ow, 0), down = make_axis(a.h, a.oh, 1);
  const i64 bytes = a.ow * a.c;
  constexpr i64 kBufferBytes = 512 * 1024;
  const i64 grain = std::clamp(kBufferBytes * a.oh / (bytes * a.h), i64{1}, i64{32});
  parallel_for(a.oh, grain, [&](i64 begin, i64 end) {
    const i64 top = down.first[begin], bottom = down.first[end - 1] + down.count[end - 1];
    u8* rows = scratch<u8>(2, (bottom - top) * bytes);
    for (i64 r = top; r < bottom; ++r)
      horizontal_any(a.x + r * a.w * a.c, rows + (r - top) * bytes, a.ow, a.c, across);
    for (i64 i = begin; i < end; ++i)
      vertical(rows + (down.first[i] - top) * bytes, a.y + i * bytes, bytes, down.count[i],
               down.weight + i * down.taps);
  });
}
#include "kernels/cpu/isa_end.h"
