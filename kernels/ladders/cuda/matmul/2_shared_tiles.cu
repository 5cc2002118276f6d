// Against 1_naive: the block's 32 x 32 elements of C use the same 32 rows of A and columns of B. Their next
// 32 of the depth are loaded once, each element by one thread, neighbours next to each other, into shared
// memory, where each is read 32 times. 2 m n k / 32 elements come from the caches instead of 2 m n k (0.9 GB
// instead of 29 GB at 4096 x 2304 x 768 in bf16), always in whole lines, also where B lies as [n,k]. What is
// left: for 32 products a warp reads 128 bytes of B and, in the best case four depths at once, one value of
// A. A multiprocessor does one such read per cycle, so of its 128 products per cycle 16 to 26 can be had.
#include "kernels/ladders/cuda/matmul/product.h"

namespace bp::cuda::matmul_rungs {
namespace {

constexpr int kTile = 32;

template <class T, bool TB>
__global__ void __launch_bounds__(kTile* kTile) shared_tiles_kernel(const Product<T> p) {
  constexpr int kPitch = kTile + 1;  // B [n,k] is written along columns: rows begin in different banks
  BP_SHARED(float, as, kTile* kTile);
  BP_SHARED(float, bs, kTile* kPitch);
  const int y = static_cast<int>(threadIdx.x) / kTile, x = static_cast<int>(threadIdx.x) % kTile;
  const Corner corner = corner_of<kTile, kTile>(p, blockIdx.x);
  const int row = corner.row + y, column = corner.column + x;
  float sum = 0;
  for (int depth = 0; depth < p.k; depth += kTile) {
    as[y * kTile + x] = row < p.m && depth + x < p.k ? load_f32(p.a[row * p.lda + depth + x]) : 0.0f;
    if (TB) {
      const int n = corner.column + y;
      bs[x * kPitch + y] = n < p.n && depth + x < p.k ? load_f32(p.b[n * p.ldb + depth + x]) : 0.0f;
    } else {
      bs[y * kPitch + x] =
          column < p.n && depth + y < p.k ? load_f32(p.b[(depth + y) * p.ldb + column]) : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kTile; ++d) sum += as[y * kTile + d] * bs[d * kPitch + x];
    __syncthreads();  // all have read before the next step is written
  }
  if (row < p.m && column < p.n) p.c[row * p.ldc + column] = store_as<T>(result(p, column, sum));
}

template <class T>
void run(const Matmul& p) {
  launch(p.tb ? shared_tiles_kernel<T, true> : shared_tiles_kernel<T, false>, tiles_of<kTile, kTile>(p),
         kTile * kTile, 0, product_of<T>(p));
}

}  // namespace

void shared_tiles(const Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  p.dtype == DType::bf16 ? run<bf16>(p) : run<float>(p);
}

}  // namespace bp::cuda::matmul_rungs
