// A B^T for few rows of A and a B that is not packed, as a mask's weights times the upscaled map: nothing is
// packed, since every number of B is used only a few times. Squares of B are transposed in registers, so that
// lanes are columns and the terms of an element are added in the order of k, as the tiles do: a row's result
// must not depend on how many there are.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kColumns = 4 * kLanes;  // of C at once: a row is finished in whole vectors
constexpr i64 kWork = 1 << 16;        // multiply-adds that are worth another thread

// sums[i][j] = a_i . b_j over k elements, for kLanes rows of B, of which `columns` exist.
template <class T>
void dots(const k::Matmul& p, const T* a, const T* b, i64 columns, float (*sums)[kColumns]) {
  vf sum[kFewRows] = {};
  for (i64 q = 0; q < p.k; q += kLanes) {
    const i64 depth = std::min<i64>(kLanes, p.k - q);
    vi square[kLanes];
    for (i64 j = 0; j < kLanes; ++j)
      square[j] = j < columns ? reinterpret_cast<vi>(load(b + j * p.ldb + q, depth)) : vi{};
    transpose(square);
    for (i64 r = 0; r < depth; ++r) {
      const vf column = reinterpret_cast<vf>(square[r]);
      for (i64 i = 0; i < p.m; ++i) sum[i] += splat(to_f32(a[i * p.lda + q + r])) * column;
    }
  }
  for (i64 i = 0; i < p.m; ++i) store(sums[i], sum[i]);
}

template <class T>
void run(const k::Matmul& p) {
  const i64 grain = kColumns * std::max<i64>(1, kWork / (kColumns * p.m * std::max<i64>(1, p.k)));
  for (i64 batch = 0; batch < p.batch; ++batch) {
    const T* a = static_cast<const T*>(p.a) + batch * p.a_batch;
    const T* b = static_cast<const T*>(p.b) + batch * p.b_batch;
    T* c = static_cast<T*>(p.c) + batch * p.c_batch;
    const T* residual = p.residual ? static_cast<const T*>(p.residual) + batch * p.c_batch : nullptr;
    const T* bias = static_cast<const T*>(p.bias);
    parallel_for(p.n, grain, [&](i64 begin, i64 end) {
      float sums[kFewRows][kColumns];
      for (i64 column = begin; column < end; column += kColumns) {
        const i64 columns = std::min(kColumns, end - column);
        for (i64 j = 0; j < columns; j += kLanes)
          dots(p, a, b + (column + j) * p.ldb, std::min<i64>(kLanes, columns - j),
               reinterpret_cast<float(*)[kColumns]>(&sums[0][j]));
        for (i64 i = 0; i < p.m; ++i) {
          const i64 at = i * p.ldc + column;
          finish_row(p, sums[i], columns, bias ? bias + column : nullptr, residual ? residual + at : nullptr,
                     c + at);
        }
      }
    });
  }
}

}  // namespace

void matmul_few_rows(const k::Matmul& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
