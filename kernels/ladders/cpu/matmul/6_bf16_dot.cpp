// 6. bf16 operands stay bf16: VDPBF16PS multiplies 32 pairs of them and adds into 16 sums of f32.
//
// The rungs before turned bf16 into f32 when they packed. Here strip and panel hold bf16, two neighbours in
// depth side by side: half the bytes to pack and to load, and each instruction does two multiply-adds per
// lane. The tile is the same 14 x 32. Expected: up to twice the rung before where the instruction starts as
// often as a multiply-add does (AMD since Zen 4), about the same where it starts half as often. bf16 only;
// the products are exact and the sums f32, so nothing is lost but numbers below 1.2e-38, which count as 0.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/cpu/features.h"
#include "kernels/ladders/cpu/matmul/packed.h"
#include "kernels/ladders/cpu/matmul/rungs.h"

#define BP_ISA ladder_bf16
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#pragma GCC target("avx512bf16")
#include "kernels/cpu/simd.h"

static __m512bh pairs_of(const bf16* panel) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(panel));
}
static __m512bh pair_everywhere(const bf16* a) {
  int pair;
  __builtin_memcpy(&pair, a, sizeof pair);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

static void tile(const bf16* strip, const bf16* panel, i64 depth, float* c, i64 ldc, bool add) {
  constexpr int rows = ladder::Bf16Tile::kRows;
  __m512 sum[rows][2];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) sum[i][j] = add ? load(c + i * ldc + j * kLanes) : vf{};
  for (i64 q = 0; q < depth; q += 2) {
    const __m512bh left = pairs_of(panel + q * 2 * kLanes);
    const __m512bh right = pairs_of(panel + q * 2 * kLanes + 2 * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const __m512bh a = pair_everywhere(strip + i * ladder::kStripStride + q);
      sum[i][0] = _mm512_dpbf16_ps(sum[i][0], a, left);
      sum[i][1] = _mm512_dpbf16_ps(sum[i][1], a, right);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) store(c + i * ldc + j * kLanes, sum[i][j]);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {

bool Bf16Tile::usable() {
  return has_avx512_bf16();
}
void Bf16Tile::run(const bf16* strip, const bf16* panel, i64 depth, float* c, i64 ldc, bool add) {
  ladder_bf16::tile(strip, panel, depth, c, ldc, add);
}

void matmul_bf16_dot(const k::Matmul& p) {
  multiply_packed<Bf16Tile>(p);
}

}  // namespace bp::cpu::ladder
#endif
