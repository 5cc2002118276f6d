// The rungs of the matrix product. All take both transpositions, any strides and the whole epilogue.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

void matmul_naive(const k::Matmul& p);
void matmul_blocked(const k::Matmul& p);
void matmul_threads(const k::Matmul& p);
void matmul_avx2(const k::Matmul& p);
void matmul_avx512(const k::Matmul& p);
void matmul_bf16_dot(const k::Matmul& p);
void matmul_amx(const k::Matmul& p);

// Rows [begin, end), at most kBlockRows, of the product of one batch: the second rung's work, which the third
// shares out.
constexpr i64 kBlockRows = 64;
void matmul_block_of_rows(const k::Matmul& p, i64 batch, i64 begin, i64 end);

}  // namespace bp::cpu::ladder
