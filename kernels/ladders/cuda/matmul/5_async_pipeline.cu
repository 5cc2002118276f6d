// Against 4_tensor_cores: tiles come by cp.async, from memory to shared memory without registers, into a ring
// of four stages. While the warps multiply one stage, three are on their way: the 500 to 1000 cycles that
// memory takes should be hidden behind the products of a step (128 x 128 x 32: 512 cycles of an A100's tensor
// cores) instead of added to them, and there is one barrier per step, not two. What is left: on Hopper
// mma.sync cannot use the full rate (about 60 % is what is reported), and every warp spends instructions on
// addresses, copies and ldmatrix.
#include "kernels/ladders/cuda/matmul/mma_tile.h"

namespace bp::cuda::matmul_rungs {
namespace {

constexpr int kStages = 4;

template <bool TB>
__global__ void __launch_bounds__(kMmaThreads, 2)
    async_pipeline_kernel(const Product<bf16> p, bool packed_a, bool packed_b, bool pairs_c) {
  bf16* const stages = dynamic_shared<bf16>();  // [kStages][A, B][kMmaTile]
  const Corner corner = corner_of<kMmaSpan, kMmaSpan>(p, blockIdx.x);
  TileLoader<bf16, kMmaSpan, kMmaDepth, true, kMmaThreads> a(p.a, p.lda, corner.row, p.m, 0, packed_a);
  TileLoader<bf16, kMmaSpan, kMmaDepth, TB, kMmaThreads> b(p.b, p.ldb, corner.column, p.n, 0, packed_b);
  const auto load = [&](int step) {
    bf16* const stage = stages + step % kStages * 2 * kMmaTile;
    if (step * kMmaDepth < p.k) {
      a.next(stage, p.k - step * kMmaDepth);
      b.next(stage + kMmaTile, p.k - step * kMmaDepth);
    }
    commit_copies();  // an empty group, too, so that the wait below counts alike
  };
#pragma unroll
  for (int step = 0; step < kStages - 1; ++step) load(step);

  MmaSums sums;
  for (int step = 0; step * kMmaDepth < p.k; ++step) {
    wait_copies<kStages - 2>();  // mine of this step have arrived
    __syncthreads();             // everybody's have, and the stage of the step before has been read
    load(step + kStages - 1);    // into that stage
    const bf16* const stage = stages + step % kStages * 2 * kMmaTile;
    sums.add<TB>(stage, stage + kMmaTile);
  }
  wait_copies<0>();
  sums.store(p, corner, pairs_c);
}

}  // namespace

void async_pipeline(const Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  const Product<bf16> product = product_of<bf16>(p);
  launch(p.tb ? async_pipeline_kernel<true> : async_pipeline_kernel<false>, tiles_of<kMmaSpan, kMmaSpan>(p),
         kMmaThreads, kStages * 2 * kMmaTile * sizeof(bf16), product,
         packed<8>(product.a, p.lda) && p.k % 8 == 0,
         packed<8>(product.b, p.ldb) && (p.tb ? p.k : p.n) % 8 == 0, packed<2>(product.c, p.ldc));
}

}  // namespace bp::cuda::matmul_rungs
