// What a product's numbers go through on their way to memory.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

constexpr i64 kMaxColumns = 384;

// Writes C[row][column .. column + n) of a batch from its sums of products, n <= kMaxColumns, as k::Matmul
// says: alpha, bias, activation and residual, or accumulation.
void finish_row(const k::Matmul& p, i64 batch, i64 row, i64 column, i64 n, const float* sums);

}  // namespace bp::cpu::ladder
