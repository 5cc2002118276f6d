// A B^T for few rows of A, as the mask decoder's tokens are: nothing is packed, since every weight is used
// only a few times. B's rows stream by once, kLanes of them at a time, and meet every row of A while they are
// in L1; the sums over lanes of kLanes columns are one transposition.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kColumns = 4 * kLanes;            // of C at once: a row is finished in whole vectors
constexpr i64 kWork = 1 << 16;                  // multiply-adds that are worth another thread
constexpr i64 kDepth = 1024 / kLanes * kLanes;  // in depth at once: kLanes rows of B stay in L1

// sums[j] (+)= a . b_j over k elements, for kLanes rows of B, of which `columns` exist.
template <class T>
BP_INLINE void dots(const T* a, const T* b, i64 ldb, i64 columns, i64 k, float* sums, bool add) {
  vi acc[kLanes];
  vf sum[kLanes] = {};
  i64 q = 0;
  if (columns == kLanes) {
    for (; q + kLanes <= k; q += kLanes) {
      const vf x = load(a + q);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j) sum[j] += x * load(b + j * ldb + q);
    }
    if (q < k) {
      const vf x = load_part(a + q, k - q);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j) sum[j] += x * load_part(b + j * ldb + q, k - q);
    }
  } else {
    for (i64 j = 0; j < columns; ++j)
      each_vector(k, [&](i64 i, i64 part) { sum[j] += load(a + i, part) * load(b + j * ldb + i, part); });
  }
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) acc[j] = reinterpret_cast<vi>(sum[j]);
  transpose(acc);
  vf total = add ? load(sums) : vf{};
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) total += reinterpret_cast<vf>(acc[j]);
  store(sums, total);
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
          for (i64 k0 = 0; k0 == 0 || k0 < p.k; k0 += kDepth)
            for (i64 i = 0; i < p.m; ++i)
              dots(a + i * p.lda + k0, b + (column + j) * p.ldb + k0, p.ldb,
                   std::min<i64>(kLanes, columns - j), std::min(kDepth, p.k - k0), sums[i] + j, k0 > 0);
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
