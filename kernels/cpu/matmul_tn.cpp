// C = A^T B with A [k,m] and B [k,n], the product of weight gradients: k is every pixel of a batch, m and n
// are channels. Blocks of C too few to share out are computed for groups of k apart, and the groups' sums
// added in order; the groups follow from the shape alone. Scratch slots: 3 (sums of the groups), 6 (block of
// B), 7 (block of A).
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kDepth = 128;  // words of k at once: a strip of A and a panel of B stay in L1
constexpr i64 kBlockRows = 5 * kMR, kBlockPanels = 6;  // of a block of C: its parts of A and B stay in L2
constexpr i64 kTasks = 32, kLeastDepth = 256;          // of a group

template <class Tile, class T, class Out>
void multiply(const k::Matmul& p) {
  constexpr i64 kRows = Tile::kRows, kBlockStrips = blocks_of(kBlockRows, kRows),
                kStride = blocks_of(kBlockStrips * kRows, kLanes) * kLanes;
  // f32 is read where it is, but for a B whose rows share their sets of the cache or end in half a panel.
  constexpr bool kAsItIs = std::is_same_v<Tile, F32Tile> && std::is_same_v<T, float>;
  const bool b_as_it_is = kAsItIs && p.ldb % 256 != 0 && p.n % kNR == 0;
  const i64 panels = blocks_of(p.n, kNR), strips = blocks_of(p.m, kRows);
  const i64 row_blocks = blocks_of(strips, kBlockStrips), column_blocks = blocks_of(panels, kBlockPanels),
            blocks = row_blocks * column_blocks;
  const i64 wanted = std::clamp<i64>(p.k / kLeastDepth, 1, blocks_of(kTasks, blocks));
  const i64 depth = std::max<i64>(1, blocks_of(p.k, wanted));  // of a group
  const i64 groups = std::max<i64>(1, blocks_of(p.k, depth));
  const i64 ld = panels * kNR, size = strips * kRows * ld;
  float* const sums = scratch<float>(3, groups * size);

  for (i64 batch = 0; batch < p.batch; ++batch) {
    const T* a = static_cast<const T*>(p.a) + batch * p.a_batch;
    const T* b = static_cast<const T*>(p.b) + batch * p.b_batch;
    parallel_for(groups * blocks, 1, [&](i64 begin, i64 end) {
      Word* const b_packed = scratch<Word>(6, kBlockPanels * kNR * kDepth);
      Word* const a_packed = scratch<Word>(7, kStride * kDepth);
      Tile::begin();
      for (i64 task = begin; task < end; ++task) {
        const i64 group = task / blocks, block = task % blocks;
        const i64 strip0 = block / column_blocks * kBlockStrips,
                  strip1 = std::min(strips, strip0 + kBlockStrips);
        const i64 panel0 = block % column_blocks * kBlockPanels,
                  panel1 = std::min(panels, panel0 + kBlockPanels);
        const i64 first = group * depth, last = std::min(p.k, first + depth);
        const i64 row0 = strip0 * kRows, row1 = std::min(p.m, strip1 * kRows), column0 = panel0 * kNR,
                  column1 = std::min(p.n, panel1 * kNR);
        for (i64 k0 = first; k0 == first || k0 < last; k0 += kDepth * Tile::kPair) {
          const i64 kn = std::min(kDepth * Tile::kPair, last - k0), words = words_of<Tile>(kn);
          if (!b_as_it_is) pack_panels<Tile::kPair>(p, b, panel0, panel1, k0, kn, words, b_packed);
          if constexpr (!kAsItIs)
            pack_along<Tile::kPair>(a + k0 * p.lda + row0, p.lda, row1 - row0, p.m - row0, kn, words,
                                    a_packed, kStride);
          const Word* const left = kAsItIs ? reinterpret_cast<const Word*>(a + k0 * p.lda + row0) : a_packed;
          const Word* const right =
              b_as_it_is ? reinterpret_cast<const Word*>(b + k0 * p.ldb + column0) : b_packed;
          const i64 next = k0 + kn, next_rows = std::min(kn, last - next),
                    parts = (panel1 - panel0) * (strip1 - strip0);
          i64 part = 0;
          for (i64 j = panel0; j < panel1; ++j)
            for (i64 row = row0; row < row1; row += kRows, ++part) {
              prefetch_rows(a + next * p.lda + row0, p.lda, row1 - row0, next_rows, part, parts);
              prefetch_rows(b + next * p.ldb + column0, p.ldb, column1 - column0, next_rows, part, parts);
              Tile::run_columns(
                  static_cast<int>(std::min(kRows, row1 - row)), p.n - j * kNR <= kLanes, left + row - row0,
                  kAsItIs ? p.lda : kStride, right + (j - panel0) * kNR * (b_as_it_is ? 1 : words),
                  b_as_it_is ? p.ldb : kNR, words, sums + group * size + row * ld + j * kNR, ld, k0 > first);
            }
        }
      }
      Tile::end();
    });
    Out* c = static_cast<Out*>(p.c) + batch * p.c_batch;
    const Out* bias = static_cast<const Out*>(p.bias);
    const Out* residual = p.residual ? static_cast<const Out*>(p.residual) + batch * p.c_batch : nullptr;
    parallel_for(p.m, std::max<i64>(1, 16384 / (groups * ld)), [&](i64 begin, i64 end) {
      for (i64 row = begin; row < end; ++row) {
        float* const sum = sums + row * ld;
        for (i64 g = 1; g < groups; ++g)
          for (i64 i = 0; i < ld; i += kLanes) store(sum + i, load(sum + i) + load(sum + g * size + i));
        finish_row(p, sum, p.n, bias, residual ? residual + row * p.ldc : nullptr, c + row * p.ldc);
      }
    });
  }
}

template <class T, class Out>
void run(const k::Matmul& p) {
  with_tile<T>([&](auto tile) { multiply<decltype(tile), T, Out>(p); });
}

}  // namespace

void matmul_tn(const k::Matmul& p) {
  p.dtype == DType::f32 ? run<float, float>(p) : run<bf16, bf16>(p);
}
void matmul_tn_f32(const k::Matmul& p) {
  p.dtype == DType::f32 ? run<float, float>(p) : run<bf16, float>(p);
}
#include "kernels/cpu/isa_end.h"
