// What the ladders of attention share.
#pragma once
#include "kernels/cuda/tile.h"

#include <type_traits>

namespace bp::cuda {

constexpr float kLog2E = 1.44269504f;  // logits are kept times log2(e), since 2^x is one instruction

// Heads for which the rungs are compiled: of 32 numbers in TinyViT, of 64 in ViT-B and -L, of 80 in ViT-H.
inline bool is_usual_head(i64 d) {
  return d == 32 || d == 64 || d == 80;
}
// Calls f(D) with a constant D = d.
template <class F>
void with_usual_head(i64 d, const F& f) {
  if (d == 32) f(std::integral_constant<int, 32>{});
  if (d == 64) f(std::integral_constant<int, 64>{});
  if (d == 80) f(std::integral_constant<int, 80>{});
}

// Whether all rows can be read and written in packs of 16 bytes.
inline bool is_aligned(const WindowAttention& a) {
  return a.dtype == DType::bf16 ? packs<bf16>(a.d, a.qkv, a.pad, a.rel_h, a.rel_w, a.y)
                                : packs<float>(a.d, a.qkv, a.pad, a.rel_h, a.rel_w, a.y);
}

}  // namespace bp::cuda
