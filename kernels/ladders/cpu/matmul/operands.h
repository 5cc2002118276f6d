// The operands of a product by their indices, however they are stored.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

template <class T>
struct Operands {
  const T *a, *b;
  i64 a_row, a_col, b_row, b_col;  // distances of neighbours in op(A) and op(B)

  Operands(const k::Matmul& p, i64 batch)
      : a(static_cast<const T*>(p.a) + batch * p.a_batch),
        b(static_cast<const T*>(p.b) + batch * p.b_batch),
        a_row(p.ta ? 1 : p.lda),
        a_col(p.ta ? p.lda : 1),
        b_row(p.tb ? 1 : p.ldb),
        b_col(p.tb ? p.ldb : 1) {}
  T A(i64 i, i64 q) const { return a[i * a_row + q * a_col]; }  // [m, k]
  T B(i64 q, i64 j) const { return b[q * b_row + j * b_col]; }  // [k, n]
};

}  // namespace bp::cpu::ladder
