// 1. The definition: for every element of C the sum over k, on one thread.
//
// A layer's product (SAM-B's qkv: m 4096, n 2304, k 768) is 7.2e9 multiply-adds. Each waits for the addition
// before it, about four cycles, where the processor could begin two vectors of 16 in every one: 1/128 of a
// core. And every row of C walks through all of B again: 4096 x 7 MB come from the outer caches.
#include "kernels/ladders/cpu/matmul/epilogue.h"
#include "kernels/ladders/cpu/matmul/operands.h"
#include "kernels/ladders/cpu/matmul/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void multiply(const k::Matmul& p) {
  for (i64 batch = 0; batch < p.batch; ++batch) {
    const Operands<T> x(p, batch);
    for (i64 i = 0; i < p.m; ++i)
      for (i64 j = 0; j < p.n; ++j) {
        float sum = 0;
        for (i64 q = 0; q < p.k; ++q) sum += to_f32(x.A(i, q)) * to_f32(x.B(q, j));
        finish_row(p, batch, i, j, 1, &sum);
      }
  }
}

}  // namespace

void matmul_naive(const k::Matmul& p) {
  p.dtype == DType::bf16 ? multiply<bf16>(p) : multiply<float>(p);
}

}  // namespace bp::cpu::ladder
