#include "engine/ops/common.h"

namespace bp {
namespace {

// op(x)'s last two axes, and how many matrices the leading axes count.
struct Matrices {
  i64 rows, cols, count = 1;
};
Matrices matrices(const Tensor& x, bool transposed) {
  Matrices m{x.dim(transposed ? -1 : -2), x.dim(transposed ? -2 : -1)};
  for (int i = 0; i < x.rank() - 2; ++i) m.count *= x.dim(i);
  return m;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  require_alike("matmul", {a, b});
  require(a.rank() >= 2 && b.rank() >= 2, "matmul: ", a.shape(), " x ", b.shape(), ", wanted matrices");
  const Matrices ma = matrices(a, ta), mb = matrices(b, tb);
  bool fits = ma.cols == mb.rows && (b.rank() == 2 || b.rank() == a.rank());
  for (int i = 0; fits && i < b.rank() - 2; ++i) fits = a.dim(i) == b.dim(i);
  require(fits, "matmul: ", a.shape(), ta ? "^T" : "", " x ", b.shape(), tb ? "^T" : "");

  Shape shape = a.shape();
  shape[-2] = ma.rows;
  shape[-1] = mb.cols;
  if (b.rank() == 2 && a.rank() > 2) {  // one b for all: the leading axes join the rows
    const Tensor upright = ta ? permute(a.reshape({ma.count, ma.cols, ma.rows}), {0, 2, 1}) : a;
    return matmul(upright.reshape({ma.count * ma.rows, ma.cols}), b, false, tb).reshape(shape);
  }
  Tensor y = empty(shape, a.dtype(), a.device());
  kernels(a).matmul({.a = a.raw(),
                     .b = b.raw(),
                     .c = y.raw(),
                     .m = ma.rows,
                     .n = mb.cols,
                     .k = ma.cols,
                     .ta = ta,
                     .tb = tb,
                     .lda = a.dim(-1),
                     .ldb = b.dim(-1),
                     .ldc = mb.cols,
                     .batch = ma.count,
                     .a_batch = ma.rows * ma.cols,
                     .b_batch = mb.rows * mb.cols,
                     .c_batch = ma.rows * mb.cols,
                     .alpha = 1,
                     .bias = nullptr,
                     .residual = nullptr,
                     .act = Act::none,
                     .accumulate = false,
                     .dtype = a.dtype()});
  trace("matmul", y, y.numel() * ma.cols, {a, b});
  if (tracks_grad({a, b}))
    // C = op(A) op(B): d op(A) = dC op(B)^T and d op(B) = op(A)^T dC, each transposed where its operand is.
    record(y, {a, b},
           [ta, tb, a = b.tracks_grad() ? a.detach() : Tensor{},
            b = a.tracks_grad() ? b.detach() : Tensor{}](const Tensor& dy) {
             Gradients g(2);
             if (b) g[0] = ta ? matmul(b, dy, tb, true) : matmul(dy, b, false, !tb);
             if (a) g[1] = tb ? matmul(dy, a, true, ta) : matmul(a, dy, !ta, false);
             return g;
           });
  return y;
}

}  // namespace bp
