#include <cstring>

#include "kernels/simt/machine.h"

namespace bp::simt {
namespace {

constexpr unsigned kDepth = 16;

std::size_t place_of(const WgmmaOperand& x, unsigned span, unsigned depth) {
  const std::size_t at = x.depth_inner ? x.start + span / 8 * x.stride + span % 8 * 128 + depth * 2
                                       : x.start + span / 64 * x.leading + span % 64 * 2 +
                                             depth / 8 * x.stride + depth % 8 * 128;
  return at ^ (at >> 7 & 7) << 4;
}

WgmmaFault read(float (&values)[kDepth], const WgmmaOperand& x, unsigned span) {
  const unsigned char *const real = window(), *const seen = async_window();
  const std::size_t size = window_size();
  for (unsigned d = 0; d < kDepth; ++d) {
    const std::size_t at = place_of(x, span, d);
    if (at + sizeof(bf16) > size) return WgmmaFault::outside;
    const bf16 value = *reinterpret_cast<const bf16*>(real + at);
    if (value.bits != reinterpret_cast<const bf16*>(seen + at)->bits) return WgmmaFault::unfenced;
    values[d] = to_f32(value);
  }
  return WgmmaFault::none;
}

}  // namespace

void perform(void* shared, const void* global, std::size_t bytes, std::size_t zeros) {
  if (bytes) std::memcpy(shared, global, bytes);
  std::memset(static_cast<char*>(shared) + bytes, 0, zeros);
}

void poison(void* shared, std::size_t bytes) {
  std::memset(shared, kPoison, bytes);
}

// Sum 4 j + i of lane l in warp w is that of row 16 w + l / 4 + 8 (i / 2) and column 8 j + 2 (l % 4) + i % 2.
WgmmaFault add_wgmma(float* sums, unsigned lane, int columns, const WgmmaOperand& a, const WgmmaOperand& b) {
  const unsigned row = lane / 32 * 16 + lane % 32 / 4;
  float as[2][kDepth], bs[kDepth];
  for (unsigned half = 0; half < 2; ++half)
    if (const auto fault = read(as[half], a, row + 8 * half); fault != WgmmaFault::none) return fault;
  for (int j = 0; j < columns / 8; ++j)
    for (unsigned odd = 0; odd < 2; ++odd) {
      const auto fault = read(bs, b, static_cast<unsigned>(8 * j) + 2 * (lane % 4) + odd);
      if (fault != WgmmaFault::none) return fault;
      for (unsigned half = 0; half < 2; ++half) {
        float& sum = sums[4 * j + static_cast<int>(2 * half + odd)];
        for (unsigned d = 0; d < kDepth; ++d) sum += as[half][d] * bs[d];
      }
    }
  return WgmmaFault::none;
}

}  // namespace bp::simt
