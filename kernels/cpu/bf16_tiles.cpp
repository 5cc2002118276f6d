// Register tiles of bf16 products for AVX-512: VDPBF16PS and AMX (product_tiles.h).
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"

#include "kernels/cpu/isa_begin.h"
#if BP_ISA_LEVEL == 512
#pragma GCC target("avx512bf16")
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"

namespace {

constexpr i64 kAhead = 12;  // steps between asking for a row of the panel and using it

BP_INLINE __m512bh pairs(const Word* p) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
}

// The same shape as gemm.cpp's tile, which says why it is this one and what columns means.
template <int Rows, int Vectors, bool columns>
void dot_tile(const Word* a, i64 lda, const Word* panel, i64 ldb, i64 words, float* c, i64 ld, bool add) {
  __m512 sum[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) sum[i][j] = add ? load(c + i * ld + j * kLanes) : vf{};
#pragma GCC unroll 4
  for (i64 w = 0; w < words; ++w) {
    __m512bh b[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) {
      __builtin_prefetch(panel + (w + kAhead) * ldb + j * kLanes);
      b[j] = pairs(panel + w * ldb + j * kLanes);
    }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Word pair = columns ? a[w * lda + i] : a[i * kAStride + w];
      const __m512bh everywhere = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], everywhere, b[j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) store(c + i * ld + j * kLanes, sum[i][j]);
}

template <int Vectors, bool columns>
void dot_rows(int rows, const Word* a, i64 lda, const Word* panel, i64 ldb, i64 words, float* c, i64 ld,
              bool add) {
  each_height(rows, [&](auto height, int done) {
    dot_tile<height.value, Vectors, columns>(a + done * (columns ? 1 : kAStride), lda, panel, ldb, words,
                                             c + done * ld, ld, add);
  });
}

// Registers 0 to 3 are the sums, 4 and 5 rows of A, 6 and 7 columns of B: two loads each serve four products.
template <class Unit>
void amx_tile(const Word* strip, const Word* panel, i64 words, float* c, i64 ld, bool add) {
  constexpr i64 kA = kAStride * sizeof(Word), kB = kNR * sizeof(Word);
  const i64 kC = ld * static_cast<i64>(sizeof(float));
  if (add) {
    Unit::template load<0>(c, kC);
    Unit::template load<1>(c + 16, kC);
    Unit::template load<2>(c + 16 * ld, kC);
    Unit::template load<3>(c + 16 * ld + 16, kC);
  } else {
    Unit::template zero<0>();
    Unit::template zero<1>();
    Unit::template zero<2>();
    Unit::template zero<3>();
  }
  for (i64 w = 0; w < words; w += AmxTile::kStep) {
    Unit::template load<4>(strip + w, kA);
    Unit::template load<5>(strip + 16 * kAStride + w, kA);
    Unit::template load<6>(panel + w * kNR, kB);
    Unit::template load<7>(panel + w * kNR + 16, kB);
    Unit::template dot<0, 4, 6>();
    Unit::template dot<1, 4, 7>();
    Unit::template dot<2, 5, 6>();
    Unit::template dot<3, 5, 7>();
  }
  Unit::template store<0>(c, kC);
  Unit::template store<1>(c + 16, kC);
  Unit::template store<2>(c + 16 * ld, kC);
  Unit::template store<3>(c + 16 * ld + 16, kC);
}

}  // namespace

void DotTile::run(int rows, bool half, const Word* strip, const Word* panel, i64 words, float* c, i64 ld,
                  bool add) {
  if (half)
    dot_rows<1, false>(rows, strip, 0, panel, kNR, words, c, ld, add);
  else
    dot_rows<kNV, false>(rows, strip, 0, panel, kNR, words, c, ld, add);
}

void DotTile::run_columns(int rows, bool half, const Word* a, i64 lda, const Word* panel, i64 ldb, i64 words,
                          float* c, i64 ld, bool add) {
  if (half)
    dot_rows<1, true>(rows, a, lda, panel, ldb, words, c, ld, add);
  else
    dot_rows<kNV, true>(rows, a, lda, panel, ldb, words, c, ld, add);
}

void AmxTile::begin() {
  amx::stand_in() ? amx::StandIn::configure(amx::full_tiles()) : amx::Unit::configure(amx::full_tiles());
}
void AmxTile::end() {
  amx::stand_in() ? amx::StandIn::release() : amx::Unit::release();
}
void AmxTile::run(int, bool, const Word* strip, const Word* panel, i64 words, float* c, i64 ld, bool add) {
  amx::stand_in() ? amx_tile<amx::StandIn>(strip, panel, words, c, ld, add)
                  : amx_tile<amx::Unit>(strip, panel, words, c, ld, add);
}

// AMX reads rows of A, so they are made here.
void AmxTile::run_columns(int, bool, const Word* a, i64 lda, const Word* panel, i64, i64 words, float* c,
                          i64 ld, bool add) {
  alignas(64) Word strip[kRows * kAStride];
  for (int i0 = 0; i0 < kRows; i0 += kLanes)
    for (i64 w0 = 0; w0 < words; w0 += kLanes) {
      vi square[kLanes];
      for (int w = 0; w < kLanes; ++w) square[w] = *reinterpret_cast<const vi_any*>(a + (w0 + w) * lda + i0);
      transpose(square);
      for (int i = 0; i < kLanes; ++i) store(strip + (i0 + i) * kAStride + w0, square[i]);
    }
  run(kRows, false, strip, panel, words, c, ld, add);
}
#endif
#include "kernels/cpu/isa_end.h"
