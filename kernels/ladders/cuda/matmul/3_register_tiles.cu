// Against 2_shared_tiles: a thread computes 8 x 8 elements of C, which stay in its registers. For one step of
// the depth it reads 8 elements of A and 8 of B from shared memory, in four loads of 16 bytes, and does 64
// multiply-adds with them: 1 byte per product instead of 8, a sixteenth of the load instructions. The block's
// tile is 128 x 128, so the caches give 2 m n k / 128 elements, a quarter. Now the multiply-add units should
// be the limit (f32: 67 TFLOP/s in the data sheets of H100 and H200). Loads of 16 bytes need tiles whose rows
// follow the span: A, and B [n,k], are turned while they are stored.
#include "kernels/ladders/cuda/matmul/product.h"

namespace bp::cuda::matmul_rungs {
namespace {

constexpr int kSpan = 128, kDepth = 8, kThreads = 256;
constexpr int kPitch = kSpan + 4;  // the two depths that a warp stores at once go to different banks

// A tile of shared memory, [kDepth][kPitch], from a matrix whose rows go along the depth (DepthInner) or
// along the span. Each thread brings four elements.
template <bool DepthInner>
__device__ __forceinline__ void load_tile(float* tile, const float* matrix, i64 stride, int span_left,
                                          int depth, int depth_left, bool packed) {
  const int i = static_cast<int>(threadIdx.x);
  if (DepthInner) {
    const int s = i / 2, d = i % 2 * 4;
    const Pack<float, 4> x =
        load_inside<4>(matrix + s * stride + depth + d, s < span_left ? depth_left - d : 0, packed);
#pragma unroll
    for (int e = 0; e < 4; ++e) tile[(d + e) * kPitch + s] = x.v[e];
  } else {
    const int d = i / 32, s = i % 32 * 4;
    store_pack(tile + d * kPitch + s,
               load_inside<4>(matrix + (depth + d) * stride + s, d < depth_left ? span_left - s : 0, packed));
  }
}

template <bool TB>
__global__ void __launch_bounds__(kThreads, 2)
    register_tiles_kernel(const Product<float> p, bool packed_a, bool packed_b, bool packed_c) {
  BP_SHARED(float, as, kDepth* kPitch);
  BP_SHARED(float, bs, kDepth* kPitch);
  const Corner corner = corner_of<kSpan, kSpan>(p, blockIdx.x);
  const float* a = p.a + corner.row * p.lda;
  const float* b = p.b + (TB ? corner.column * p.ldb : corner.column);
  const int down = static_cast<int>(threadIdx.x) / 16 * 4, across = static_cast<int>(threadIdx.x) % 16 * 4;

  // Rows down, down + 64 and the three below each; columns alike.
  float sums[8][8] = {};
  for (int depth = 0; depth < p.k; depth += kDepth) {
    load_tile<true>(as, a, p.lda, p.m - corner.row, depth, p.k - depth, packed_a);
    load_tile<TB>(bs, b, p.ldb, p.n - corner.column, depth, p.k - depth, packed_b);
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      Pack<float, 4> x[2], y[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        x[half] = load_pack<4>(as + d * kPitch + down + 64 * half);
        y[half] = load_pack<4>(bs + d * kPitch + across + 64 * half);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) sums[i][j] += x[i / 4].v[i % 4] * y[j / 4].v[j % 4];
    }
    __syncthreads();
  }

#pragma unroll
  for (int i = 0; i < 8; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = corner.row + down + i / 4 * 64 + i % 4, column = corner.column + across + 64 * half;
      if (row >= p.m || column >= p.n) continue;
      Pack<float, 4> out;
#pragma unroll
      for (int e = 0; e < 4; ++e)
        out.v[e] = column + e < p.n ? result(p, column + e, sums[i][4 * half + e]) : 0.0f;
      store_inside(p.c + row * p.ldc + column, out, p.n - column, packed_c);
    }
}

}  // namespace

bool takes_plain_f32(const Matmul& p) {
  return plain(p) && p.dtype == DType::f32;
}

void register_tiles(const Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  const Product<float> product = product_of<float>(p);
  launch(p.tb ? register_tiles_kernel<true> : register_tiles_kernel<false>, tiles_of<kSpan, kSpan>(p),
         kThreads, 0, product, packed<4>(product.a, p.lda), packed<4>(product.b, p.ldb),
         packed<4>(product.c, p.ldc));
}

}  // namespace bp::cuda::matmul_rungs
