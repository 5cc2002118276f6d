// 2. Blocks of B that stay in the cache, and columns in the inner loop.
//
// A block of B (128 x 128, 64 KB as f32) is copied once and meets 64 rows of A before the next is fetched: B
// comes from the outer caches m / 64 times instead of m times (0.45 GB instead of 29 GB at SAM-B's qkv).
// Neighbouring columns are independent sums, which the compiler turns into vectors of 4 without being asked
// (order of additions kept), and no addition waits for the one before. Still two loads and a store go with
// every vector multiply-add: that is what limits this rung.
#include <algorithm>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/matmul/epilogue.h"
#include "kernels/ladders/cpu/matmul/operands.h"
#include "kernels/ladders/cpu/matmul/rungs.h"

namespace bp::cpu::ladder {
namespace {

constexpr i64 kBlockDepth = 128, kBlockColumns = 128;

// sums[0 .. n) += a row of A times the block of B.
template <class T>
void add_row(const Operands<T>& x, i64 i, i64 q0, i64 depth, i64 n, const float* block, float* sums) {
  for (i64 q = 0; q < depth; ++q) {
    const float a = to_f32(x.A(i, q0 + q));
    const float* const b = block + q * kBlockColumns;
    for (i64 j = 0; j < n; ++j) sums[j] += a * b[j];
  }
}

template <class T>
void multiply_rows(const k::Matmul& p, i64 batch, i64 begin, i64 end) {
  const Operands<T> x(p, batch);
  float* const block = scratch<float>(6, kBlockDepth * kBlockColumns);
  float* const sums = scratch<float>(7, kBlockRows * kBlockColumns);
  for (i64 j0 = 0; j0 < p.n; j0 += kBlockColumns) {
    const i64 n = std::min(kBlockColumns, p.n - j0);
    std::fill(sums, sums + kBlockRows * kBlockColumns, 0.0f);
    for (i64 q0 = 0; q0 < p.k; q0 += kBlockDepth) {
      const i64 depth = std::min(kBlockDepth, p.k - q0);
      for (i64 q = 0; q < depth; ++q)
        for (i64 j = 0; j < n; ++j) block[q * kBlockColumns + j] = to_f32(x.B(q0 + q, j0 + j));
      for (i64 i = begin; i < end; ++i)
        add_row(x, i, q0, depth, n, block, sums + (i - begin) * kBlockColumns);
    }
    for (i64 i = begin; i < end; ++i) finish_row(p, batch, i, j0, n, sums + (i - begin) * kBlockColumns);
  }
}

}  // namespace

void matmul_block_of_rows(const k::Matmul& p, i64 batch, i64 begin, i64 end) {
  p.dtype == DType::bf16 ? multiply_rows<bf16>(p, batch, begin, end)
                         : multiply_rows<float>(p, batch, begin, end);
}

void matmul_blocked(const k::Matmul& p) {
  for (i64 batch = 0; batch < p.batch; ++batch)
    for (i64 i = 0; i < p.m; i += kBlockRows)
      matmul_block_of_rows(p, batch, i, std::min(p.m, i + kBlockRows));
}

}  // namespace bp::cpu::ladder
