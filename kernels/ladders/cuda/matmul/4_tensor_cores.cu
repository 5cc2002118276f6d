// Against 3_register_tiles: bf16, and mma.sync: a warp multiplies 16 x 16 by 16 x 8, 2048 multiply-adds, in
// one instruction, on units that the data sheets give 15 times the rate of f32. ldmatrix brings a warp four 8
// x 8 matrices in one load, in the layout that mma wants. A warp has 64 x 32 elements of C, so it reads (64 +
// 32) elements of 2 bytes for 64 x 32 products: 0.09 bytes per product instead of 1. Chunks of 16 bytes are
// exchanged within their rows so that the eight rows of a matrix lie in different banks (gemm_tile.h).
// What is left: each step loads its tiles from memory, waits for them, multiplies, and only then loads again.
#include "kernels/ladders/cuda/matmul/mma_tile.h"

namespace bp::cuda::matmul_rungs {
namespace {

// Two chunks of 16 bytes per thread.
template <bool DepthInner>
__device__ __forceinline__ void load_tile(bf16* tile, const bf16* matrix, i64 stride, int span_left,
                                          int depth_left, bool packed) {
  using Shape = MmaShape<DepthInner>;
  constexpr int kEach = kMmaTile / Shape::kChunk / kMmaThreads;
  const int rows_left = DepthInner ? span_left : depth_left,
            columns_left = DepthInner ? depth_left : span_left;
  Pack<bf16, 8> chunks[kEach];  // all on their way before the first is stored
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int chunk = static_cast<int>(threadIdx.x) + i * kMmaThreads;
    const int row = chunk / Shape::kPerRow, column = chunk % Shape::kPerRow * 8;
    chunks[i] =
        load_inside<8>(matrix + row * stride + column, row < rows_left ? columns_left - column : 0, packed);
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int chunk = static_cast<int>(threadIdx.x) + i * kMmaThreads;
    store_pack(tile + Shape::at(chunk / Shape::kPerRow, chunk % Shape::kPerRow), chunks[i]);
  }
}

template <bool TB>
__global__ void __launch_bounds__(kMmaThreads, 2)
    tensor_cores_kernel(const Product<bf16> p, bool packed_a, bool packed_b, bool pairs_c) {
  BP_SHARED(bf16, as, kMmaTile);
  BP_SHARED(bf16, bs, kMmaTile);
  const Corner corner = corner_of<kMmaSpan, kMmaSpan>(p, blockIdx.x);
  const bf16* a = p.a + corner.row * p.lda;
  const bf16* b = p.b + (TB ? corner.column * p.ldb : corner.column);
  MmaSums sums;
  for (int depth = 0; depth < p.k; depth += kMmaDepth) {
    load_tile<true>(as, a + depth, p.lda, p.m - corner.row, p.k - depth, packed_a);
    load_tile<TB>(bs, b + (TB ? depth : depth * p.ldb), p.ldb, p.n - corner.column, p.k - depth, packed_b);
    __syncthreads();
    sums.add<TB>(as, bs);
    __syncthreads();
  }
  sums.store(p, corner, pairs_c);
}

}  // namespace

bool takes_plain_bf16(const Matmul& p) {
  return plain(p) && p.dtype == DType::bf16;
}

void tensor_cores(const Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  const Product<bf16> product = product_of<bf16>(p);
  launch(p.tb ? tensor_cores_kernel<true> : tensor_cores_kernel<false>, tiles_of<kMmaSpan, kMmaSpan>(p),
         kMmaThreads, 0, product, packed<8>(product.a, p.lda), packed<8>(product.b, p.ldb),
         packed<2>(product.c, p.ldc));
}

}  // namespace bp::cuda::matmul_rungs
