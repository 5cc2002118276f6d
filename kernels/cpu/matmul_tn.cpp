// C = A^T B with A [k,m] and B [k,n], the product of weight gradients: k is every pixel of a batch, m and n
// are channels. Both operands are read row by row, so nothing is packed: a step of k broadcasts neighbouring
// elements of A and loads whole vectors of B. Blocks of C too few to share out are computed for groups of k
// apart, and the groups' sums added in order; the groups follow from the shape alone. Scratch slots: 3 (sums
// of the groups), 6 (edge of B).
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kDepth = 128;  // steps of k at once: a strip of A and a panel of B stay in L1
constexpr i64 kBlockStrips = 5, kBlockPanels = 6;  // of a block of C: its parts of A and B stay in L2
constexpr i64 kTasks = 32, kLeastDepth = 256;      // of a group
constexpr i64 kAhead = 8;                          // steps of k between asking for a row of B and using it

template <int Rows, int Vectors, class T>
void tile_of(const T* a, i64 lda, const T* b, i64 ldb, i64 k, float* out, i64 ld, bool accumulate) {
  vf acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) acc[i][j] = accumulate ? load(out + i * ld + j * kLanes) : vf{};
#pragma GCC unroll 2
  for (i64 p = 0; p < k; ++p, a += lda, b += ldb) {
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) __builtin_prefetch(b + kAhead * ldb + j * kLanes);
    vf bp[Vectors];
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) bp[j] = load(b + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const vf ap = splat(to_f32(a[i]));
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) acc[i][j] += ap * bp[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) store(out + i * ld + j * kLanes, acc[i][j]);
}

// As gemm.h's tile, with A stored [k][lda].
template <int Vectors, class T>
void tile_rows(i64 rows, const T* a, i64 lda, const T* b, i64 ldb, i64 k, float* out, i64 ld,
               bool accumulate) {
  if (rows == kMR) return tile_of<kMR, Vectors>(a, lda, b, ldb, k, out, ld, accumulate);
  const auto advance = [&](int done) {
    a += done;
    out += done * ld;
    rows -= done;
  };
  if constexpr (kMR > 8)
    if (rows >= 8) {
      tile_of<8, Vectors>(a, lda, b, ldb, k, out, ld, accumulate);
      advance(8);
    }
  if (rows >= 4) {
    tile_of<4, Vectors>(a, lda, b, ldb, k, out, ld, accumulate);
    advance(4);
  }
  if (rows >= 2) {
    tile_of<2, Vectors>(a, lda, b, ldb, k, out, ld, accumulate);
    advance(2);
  }
  if (rows >= 1) tile_of<1, Vectors>(a, lda, b, ldb, k, out, ld, accumulate);
}

// The rows of A and B that a chunk of k holds, and the part of C that they are added to.
template <class T>
struct Chunk {
  const T *a, *b;
  i64 k;
  float* out;  // [m,ld]
  i64 ld;
  bool accumulate;
};

// Rows [row0, row1) x columns [panel kNR, ..) of C.
template <class T>
void add_panel(const k::Matmul& p, const Chunk<T>& c, i64 panel, i64 row0, i64 row1) {
  const i64 column = panel * kNR, width = std::min<i64>(kNR, p.n - column);
  const T* b = c.b + column;
  i64 ldb = p.ldb;
  if (width != kNR && width != kLanes) {  // whole vectors would leave the row, and the last one the matrix
    T* edge = scratch<T>(6, kDepth * kNR);
    for (i64 r = 0; r < c.k; ++r)
      for (i64 j = 0; j < kNR; ++j) edge[r * kNR + j] = j < width ? b[r * ldb + j] : T{};
    b = edge;
    ldb = kNR;
  }
  for (i64 row = row0; row < row1; row += kMR) {
    const i64 rows = std::min<i64>(kMR, row1 - row);
    float* out = c.out + row * c.ld + column;
    if (width <= kLanes)
      tile_rows<1>(rows, c.a + row, p.lda, b, ldb, c.k, out, c.ld, c.accumulate);
    else
      tile_rows<kNV>(rows, c.a + row, p.lda, b, ldb, c.k, out, c.ld, c.accumulate);
  }
}

template <class T>
void run(const k::Matmul& p) {
  const i64 panels = (p.n + kNR - 1) / kNR, strips = (p.m + kMR - 1) / kMR;
  const i64 row_blocks = (strips + kBlockStrips - 1) / kBlockStrips,
            column_blocks = (panels + kBlockPanels - 1) / kBlockPanels, blocks = row_blocks * column_blocks;
  const i64 wanted = std::clamp<i64>(p.k / kLeastDepth, 1, (kTasks + blocks - 1) / blocks);
  const i64 depth = std::max<i64>(1, (p.k + wanted - 1) / wanted);  // of a group
  const i64 groups = std::max<i64>(1, (p.k + depth - 1) / depth);
  const i64 ld = panels * kNR, size = p.m * ld;
  float* const sums = scratch<float>(3, groups * size);

  for (i64 batch = 0; batch < p.batch; ++batch) {
    const T* a = static_cast<const T*>(p.a) + batch * p.a_batch;
    const T* b = static_cast<const T*>(p.b) + batch * p.b_batch;
    parallel_for(groups * blocks, 1, [&](i64 begin, i64 end) {
      for (i64 task = begin; task < end; ++task) {
        const i64 group = task / blocks, block = task % blocks;
        const i64 row0 = block / column_blocks * kBlockStrips * kMR,
                  row1 = std::min(p.m, row0 + kBlockStrips * kMR);
        const i64 panel0 = block % column_blocks * kBlockPanels,
                  panel1 = std::min(panels, panel0 + kBlockPanels);
        const i64 first = group * depth, last = std::min(p.k, first + depth);
        for (i64 k0 = first; k0 == first || k0 < last; k0 += kDepth) {
          const Chunk<T> chunk{
              a + k0 * p.lda, b + k0 * p.ldb, std::min(kDepth, last - k0), sums + group * size, ld,
              k0 > first};
          for (i64 j = panel0; j < panel1; ++j) add_panel(p, chunk, j, row0, row1);
        }
      }
    });
    T* c = static_cast<T*>(p.c) + batch * p.c_batch;
    const T* bias = static_cast<const T*>(p.bias);
    const T* residual = p.residual ? static_cast<const T*>(p.residual) + batch * p.c_batch : nullptr;
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

}  // namespace

void matmul_tn(const k::Matmul& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
