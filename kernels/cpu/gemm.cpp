// One tile: rows x (1 or 2) vectors of accumulators, one pass over k. AVX-512: 14 x 2 accumulators, 28
// multiply-adds per 16 loads, so the two multiply-add ports are the limit. Fewer rows are done as 8 + 4 + 2 +
// 1; the order of additions for one element is that of k in every variant.
#include <type_traits>

#include "kernels/kernels.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"

constexpr i64 kAhead = 12;  // steps of k between asking for a row of the panel and using it

// Element (i, p) of A is a[i * lda + p], or a[p * lda + i] if columns; rows of B lie ldb apart.
template <int Rows, int Vectors, bool columns>
static void tile_of(const float* a, i64 lda, const float* b, i64 ldb, i64 k, float* out, i64 ld,
                    bool accumulate, const float* ahead, i64 pace) {
  vf acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) acc[i][j] = accumulate ? load(out + i * ld + j * kLanes) : vf{};
  // Rows of A are reached from every fifth by one, two, three or four strides, which addresses hold for free.
  i64 stride = lda, stride3 = 3 * lda;
  asm("" : "+r"(stride), "+r"(stride3));  // else the compiler keeps a pointer per row, more than registers
  const float* const fifth[] = {a, a + 5 * stride, a + 10 * stride};
#pragma GCC unroll 4
  for (i64 p = 0; p < k; ++p) {
    // Panels stream from L2 or beyond: ask for them ahead of the hardware, which stops at page borders.
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) __builtin_prefetch(b + (p + kAhead) * ldb + j * kLanes);
    if (!columns) __builtin_prefetch(ahead + p * pace);
    vf bp[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) bp[j] = load(b + p * ldb + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const i64 from_fifth = i % 5 == 3 ? stride3 : i % 5 * stride;
      const vf ap = splat(columns ? a[p * lda + i] : fifth[i / 5][from_fifth + p]);
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) acc[i][j] += ap * bp[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) store(out + i * ld + j * kLanes, acc[i][j]);
}

template <int Vectors, bool columns>
static void strips(int rows, const float* a, i64 lda, const float* b, i64 ldb, i64 k, float* out, i64 ld,
                   bool accumulate, const float* ahead = nullptr, i64 pace = 0) {
  each_height(rows, [&](auto height, int done) {
    tile_of<height.value, Vectors, columns>(a + done * (columns ? 1 : lda), lda, b, ldb, k, out + done * ld,
                                            ld, accumulate, ahead, pace);
  });
}

void tile_rows(int rows, bool half, const float* a, i64 lda, const float* b, i64 k, float* out, i64 ld,
               bool accumulate, const float* ahead, i64 pace) {
  if (half)
    strips<1, false>(rows, a, lda, b, kNR, k, out, ld, accumulate, ahead, pace);
  else
    strips<kNV, false>(rows, a, lda, b, kNR, k, out, ld, accumulate, ahead, pace);
}

void tile(int rows, bool half, const float* a, const float* b, i64 k, float* out, i64 ld, bool accumulate) {
  tile_rows(rows, half, a, kAStride, b, k, out, ld, accumulate, b, 0);
}

void tile_columns(int rows, bool half, const float* a, i64 lda, const float* b, i64 ldb, i64 k, float* out,
                  i64 ld, bool accumulate) {
  if (half)
    strips<1, true>(rows, a, lda, b, ldb, k, out, ld, accumulate);
  else
    strips<kNV, true>(rows, a, lda, b, ldb, k, out, ld, accumulate);
}
#include "kernels/cpu/isa_end.h"
