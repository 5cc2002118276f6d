// One tile: rows x (1 or 2) vectors of accumulators, one pass over k. AVX-512: 14 x 2 accumulators, 28
// multiply-adds per 16 loads, so the two multiply-add ports are the limit. Fewer rows are done as 8 + 4 + 2 +
// 1; the order of additions for one element is that of k in every variant.
#include <type_traits>

#include "kernels/kernels.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"

constexpr i64 kAhead = 12;  // steps of k between asking for a row of the panel and using it

// Element (i, p) of A is a[i * kAStride + p], or a[p * lda + i] if columns; rows of B lie ldb apart.
template <int Rows, int Vectors, bool columns>
static void tile_of(const float* a, i64 lda, const float* b, i64 ldb, i64 k, float* out, i64 ld,
                    bool accumulate) {
  vf acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) acc[i][j] = accumulate ? load(out + i * ld + j * kLanes) : vf{};
#pragma GCC unroll 4
  for (i64 p = 0; p < k; ++p) {
    // Panels stream from L2 or beyond: ask for them ahead of the hardware, which stops at page borders.
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) __builtin_prefetch(b + (p + kAhead) * ldb + j * kLanes);
    vf bp[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) bp[j] = load(b + p * ldb + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const vf ap = splat(columns ? a[p * lda + i] : a[i * kAStride + p]);
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
static void tile_rows(int rows, const float* a, i64 lda, const float* b, i64 ldb, i64 k, float* out, i64 ld,
                      bool accumulate) {
  each_height(rows, [&](auto height, int done) {
    tile_of<height.value, Vectors, columns>(a + done * (columns ? 1 : kAStride), lda, b, ldb, k,
                                            out + done * ld, ld, accumulate);
  });
}

void tile(int rows, bool half, const float* a, const float* b, i64 k, float* out, i64 ld, bool accumulate) {
  if (half)
    tile_rows<1, false>(rows, a, 0, b, kNR, k, out, ld, accumulate);
  else
    tile_rows<kNV, false>(rows, a, 0, b, kNR, k, out, ld, accumulate);
}

void tile_columns(int rows, bool half, const float* a, i64 lda, const float* b, i64 ldb, i64 k, float* out,
                  i64 ld, bool accumulate) {
  if (half)
    tile_rows<1, true>(rows, a, lda, b, ldb, k, out, ld, accumulate);
  else
    tile_rows<kNV, true>(rows, a, lda, b, ldb, k, out, ld, accumulate);
}
#include "kernels/cpu/isa_end.h"
