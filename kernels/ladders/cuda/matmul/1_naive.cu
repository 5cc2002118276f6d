// The sum as it is written down: a thread per element of C, which walks along a row of A and a column of B.
// Every product needs two elements, so 2 m n k are read where (m + n) k are different: for SAM ViT-B's
// queries, keys and values (4096 x 2304 x 768, bf16) 29 GB of loads for 10 MB of operands. The caches should
// take most of it, and the load units be the limit, not the arithmetic. With B as [n,k] neighbouring threads
// read along different rows, so that a warp's load touches 32 lines; with [k,n] it touches one.
#include "kernels/ladders/cuda/matmul/product.h"

namespace bp::cuda::matmul_rungs {
namespace {

template <class T, bool TB>
__global__ void __launch_bounds__(256) naive_kernel(const Product<T> p) {
  const i64 i = blockIdx.x * i64{256} + threadIdx.x;
  if (i >= i64{p.m} * p.n) return;
  const int row = static_cast<int>(i / p.n), column = static_cast<int>(i % p.n);
  const T* a = p.a + row * p.lda;
  const T* b = p.b + (TB ? column * p.ldb : column);
  const i64 step = TB ? 1 : p.ldb;
  float sum = 0;
  for (int d = 0; d < p.k; ++d, b += step) sum += load_f32(a[d]) * load_f32(*b);
  p.c[row * p.ldc + column] = store_as<T>(result(p, column, sum));
}

template <class T>
void run(const Matmul& p) {
  launch(p.tb ? naive_kernel<T, true> : naive_kernel<T, false>,
         static_cast<unsigned>(ceil_div(p.m * p.n, 256)), 256, 0, product_of<T>(p));
}

}  // namespace

bool takes_plain(const Matmul& p) {
  return plain(p);
}

void naive(const Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  p.dtype == DType::bf16 ? run<bf16>(p) : run<float>(p);
}

}  // namespace bp::cuda::matmul_rungs
