// Matrix product. B is packed whole into panels of kNR columns (once for all batches if they share it); then
// blocks of C are computed independently: per block of k, strips of A are packed into L1 and run along the
// panels, adding into a buffer of the block in L2; the epilogue (alpha, bias, activation, residual,
// conversion) reads it after the last block. The order of additions within an element depends on k alone, not
// on how C is cut up or on the number of threads. Scratch slots: 3 (panels), 6 (block of C), 7 (strip of A).
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/table.h"

constexpr i64 kBlockPanels = 12;  // 384 columns: the panels of one block of k stay in L2
constexpr i64 kBlockStrips = 16;

// Panel j of op(B): columns [j kNR, j kNR + kNR), all of k, zero-padded on the right.
template <class T>
static void pack_panel(const k::Matmul& p, const T* b, i64 j, float* panel) {
  const i64 column = j * kNR, width = std::min<i64>(kNR, p.n - column);
  if (!p.tb) {
    for (i64 r = 0; r < p.k; ++r) {
      const T* from = b + r * p.ldb + column;
      float* to = panel + r * kNR;
      if (width == kNR) {
        for (int v = 0; v < kNV; ++v) store(to + v * kLanes, load(from + v * kLanes));
      } else {
        for (i64 i = 0; i < kNR; ++i) to[i] = i < width ? to_f32(from[i]) : 0.0f;
      }
    }
    return;
  }
  if (width < kNR) std::fill(panel, panel + p.k * kNR, 0.0f);
  for (i64 r0 = 0; r0 < p.k; r0 += kLanes) {  // a cache line of each column at a time
    const i64 rows = std::min<i64>(kLanes, p.k - r0);
    for (i64 i = 0; i < width; ++i) {
      const T* from = b + (column + i) * p.ldb + r0;
      float* to = panel + r0 * kNR + i;
      for (i64 r = 0; r < rows; ++r) to[r * kNR] = to_f32(from[r]);
    }
  }
}

// Rows [row, row + rows) and depths [k0, k0 + kn) of op(A).
template <class T>
static void pack_strip(const k::Matmul& p, const T* a, i64 row, int rows, i64 k0, i64 kn, float* strip) {
  if (!p.ta) {
    pack_rows(a + row * p.lda + k0, p.lda, rows, kn, 1.0f, strip);
    return;
  }
  for (i64 q = 0; q < kn; ++q) {
    const T* from = a + (k0 + q) * p.lda + row;
    for (int i = 0; i < rows; ++i) strip[i * kAStride + q] = to_f32(from[i]);
  }
}

// Asks for part `part` of `parts` of what pack_strip will read at `row`, while the strip before it is
// multiplied.
template <class T>
BP_INLINE void prefetch_strip(const k::Matmul& p, const T* a, i64 row, i64 k0, i64 kn, i64 part, i64 parts) {
  if (p.ta) return;
  const i64 rows = std::min<i64>(kMR, p.m - row);
  constexpr i64 kLine = 64 / sizeof(T);
  for (i64 i = rows * part / parts; i < rows * (part + 1) / parts; ++i)
    for (i64 q = 0; q < kn; q += kLine) __builtin_prefetch(a + (row + i) * p.lda + k0 + q, 0, 2);
}

template <class T>
static void multiply(const k::Matmul& p) {
  const i64 panels = (p.n + kNR - 1) / kNR, strips = (p.m + kMR - 1) / kMR;
  const i64 column_blocks = (panels + kBlockPanels - 1) / kBlockPanels;
  // Blocks are made smaller where there would be too few of them to keep all threads busy.
  const i64 wanted = 4 * threads();
  const i64 block_strips = std::clamp<i64>(strips * column_blocks / wanted, 1, kBlockStrips);
  const i64 row_blocks = (strips + block_strips - 1) / block_strips;
  constexpr i64 ld = kBlockPanels * kNR;
  float* const packed = scratch<float>(3, std::max<i64>(1, panels * kNR * p.k));

  for (i64 batch = 0; batch < p.batch; ++batch) {
    const T* a = static_cast<const T*>(p.a) + batch * p.a_batch;
    const T* b = static_cast<const T*>(p.b) + batch * p.b_batch;
    T* c = static_cast<T*>(p.c) + batch * p.c_batch;
    const T* residual = p.residual ? static_cast<const T*>(p.residual) + batch * p.c_batch : nullptr;
    const T* bias = static_cast<const T*>(p.bias);
    if (batch == 0 || p.b_batch != 0)
      parallel_for(panels, 1, [&](i64 begin, i64 end) {
        for (i64 j = begin; j < end; ++j) pack_panel(p, b, j, packed + j * kNR * p.k);
      });

    parallel_for(row_blocks * column_blocks, 1, [&](i64 begin, i64 end) {
      float* const block = scratch<float>(6, block_strips * kMR * ld);
      float* const strip = scratch<float>(7, kMR * kAStride);
      for (i64 task = begin; task < end; ++task) {
        const i64 panel0 = task % column_blocks * kBlockPanels,
                  panel1 = std::min(panels, panel0 + kBlockPanels);
        const i64 strip0 = task / column_blocks * block_strips,
                  strip1 = std::min(strips, strip0 + block_strips);
        for (i64 k0 = 0; k0 == 0 || k0 < p.k; k0 += kKC) {
          const i64 kn = std::min(kKC, p.k - k0);
          for (i64 s = strip0; s < strip1; ++s) {
            const i64 row = s * kMR;
            const int rows = static_cast<int>(std::min<i64>(kMR, p.m - row));
            float* const out = block + (s - strip0) * kMR * ld;
            pack_strip(p, a, row, rows, k0, kn, strip);
            for (i64 j = panel0; j < panel1; ++j) {
              if (s + 1 < strip1) prefetch_strip(p, a, row + kMR, k0, kn, j - panel0, panel1 - panel0);
              const bool half = p.n - j * kNR <= kLanes;
              tile(rows, half, strip, packed + (j * p.k + k0) * kNR, kn, out + (j - panel0) * kNR, ld,
                   k0 > 0);
            }
            if (k0 + kKC < p.k) continue;
            const i64 column0 = panel0 * kNR, columns = std::min(p.n, panel1 * kNR) - column0;
            for (int i = 0; i < rows; ++i) {
              const i64 at = (row + i) * p.ldc + column0;
              finish_row(p, out + i * ld, columns, bias ? bias + column0 : nullptr,
                         residual ? residual + at : nullptr, c + at);
            }
          }
        }
      }
    });
  }
}

void matmul(const k::Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  if (p.ta && !p.tb) return matmul_tn(p);
  if (p.dtype == DType::bf16)
    multiply<bf16>(p);
  else
    multiply<float>(p);
}
#include "kernels/cpu/isa_end.h"
