// One tile: rows x (1 or 2) vectors of accumulators, one pass over k. AVX-512: 14 x 2 accumulators, 28
// multiply-adds per 16 loads, so the two multiply-add ports are the limit. Fewer rows are done as 8 + 4 + 2 +
// 1; the order of additions for one element is that of k in every variant.
#include "kernels/kernels.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"

constexpr i64 kAhead = 12;  // steps of k between asking for a row of the panel and using it

template <int Rows, int Vectors>
static void tile_of(const float* a, const float* b, i64 k, float* out, i64 ld, bool accumulate) {
  vf acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) acc[i][j] = accumulate ? load(out + i * ld + j * kLanes) : vf{};
#pragma GCC unroll 4
  for (i64 p = 0; p < k; ++p) {
    // Panels stream from L2 or beyond: ask for them ahead of the hardware, which stops at page borders.
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) __builtin_prefetch(b + (p + kAhead) * kNR + j * kLanes);
    vf bp[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) bp[j] = load(b + p * kNR + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const vf ap = splat(a[i * kAStride + p]);
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) acc[i][j] += ap * bp[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) store(out + i * ld + j * kLanes, acc[i][j]);
}

template <int Vectors>
static void tile_rows(int rows, const float* a, const float* b, i64 k, float* out, i64 ld, bool accumulate) {
  if (rows == kMR) return tile_of<kMR, Vectors>(a, b, k, out, ld, accumulate);
  const auto advance = [&](int done) {
    a += done * kAStride;
    out += done * ld;
    rows -= done;
  };
  if constexpr (kMR > 8)
    if (rows >= 8) {
      tile_of<8, Vectors>(a, b, k, out, ld, accumulate);
      advance(8);
    }
  if (rows >= 4) {
    tile_of<4, Vectors>(a, b, k, out, ld, accumulate);
    advance(4);
  }
  if (rows >= 2) {
    tile_of<2, Vectors>(a, b, k, out, ld, accumulate);
    advance(2);
  }
  if (rows >= 1) tile_of<1, Vectors>(a, b, k, out, ld, accumulate);
}

void tile(int rows, bool half, const float* a, const float* b, i64 k, float* out, i64 ld, bool accumulate) {
  if (half)
    tile_rows<1>(rows, a, b, k, out, ld, accumulate);
  else
    tile_rows<kNV>(rows, a, b, k, out, ld, accumulate);
}
#include "kernels/cpu/isa_end.h"
