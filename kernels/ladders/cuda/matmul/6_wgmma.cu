// Against 5_async_pipeline: Hopper's own instructions. wgmma lets four warps multiply 64 x 16 by 16 x 256
// with both operands in shared memory, in the background: no ldmatrix, no registers for operands, the full
// rate. Tiles come by bulk copies: one thread asks for 128 x 64 elements at once; the copy engine computes
// addresses, exchanges chunks as wgmma wants them, and counts the bytes at a barrier. So roles part: a
// producer warpgroup only copies and gives its registers to two consumer warpgroups of 64 x 256 sums each. A
// tile of 128 x 256 takes (128 + 256) / (128 * 256) elements from L2 per product, a quarter less than 128 x
// 128, and blocks stay for all their tiles, so that copies for the next one run while C is written.
#include "kernels/cuda/hopper.h"
#include "kernels/ladders/cuda/matmul/product.h"

namespace bp::cuda::matmul_rungs {
namespace {

constexpr int kRows = 128, kColumns = 256, kDepth = kTileColumns, kStages = 4;
constexpr int kGroup = 4 * kWarpSize, kConsumers = kRows / 64, kThreads = (1 + kConsumers) * kGroup;
constexpr int kRowBytes = kTileColumns * sizeof(bf16), kAtom = 8 * kRowBytes;  // of a copied tile

struct Stage {
  bf16 a[kRows * kDepth];
  bf16 b[kColumns * kDepth];  // B [n,k]: one tile of 256 rows; [k,n]: four of 64 rows and columns
};
struct Shared {  // from a multiple of 1024 on
  Stage stages[kStages];
  bf16 out[kConsumers * 4][16 * 64];  // of each warp
  Barrier full[kStages], empty[kStages];
};
constexpr std::size_t kSharedBytes = sizeof(Shared) + 1024;

// Which stage is next, and the parity of its phase.
struct Ring {
  int stage = 0;
  unsigned parity = 0;
  __device__ __forceinline__ void next() {
    stage = stage + 1 == kStages ? 0 : stage + 1;
    if (stage == 0) parity ^= 1;
  }
};

// One thread: waits until a stage is empty and starts its copies.
template <bool TB>
__device__ __forceinline__ void produce(Shared& s, const Product<bf16>& p, const TileMap& a, const TileMap& b,
                                        unsigned tiles) {
  Ring ring;
  for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const Corner corner = corner_of<kRows, kColumns>(p, tile);
    for (int depth = 0; depth < p.k; depth += kDepth, ring.next()) {
      Stage& stage = s.stages[ring.stage];
      Barrier* const full = &s.full[ring.stage];
      wait_phase(&s.empty[ring.stage], ring.parity ^ 1);
      arrive_expecting(full, sizeof(Stage));
      copy_tile(stage.a, a, corner.row, depth, full);
      if (TB) {
        copy_tile(stage.b, b, corner.column, depth, full);
      } else {
#pragma unroll
        for (int i = 0; i < kColumns / 64; ++i)
          copy_tile(stage.b + i * 64 * kDepth, b, depth, corner.column + 64 * i, full);
      }
    }
  }
}

// A warp's 16 rows of C, 64 columns at a time through shared memory, so that stores are of whole lines.
// Chunks of 16 bytes are exchanged within rows of 128 against bank conflicts.
__device__ __forceinline__ void store(const float (&sums)[128], bf16* out, const Product<bf16>& p, int row,
                                      int column, bool packed_c) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int part = 0; part < kColumns / 64; ++part, column += 64) {
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int c = column + 8 * j + 2 * t, i = 32 * part + 4 * j + 2 * half;
        const float first = c < p.n ? result(p, c, sums[i]) : 0.0f;
        const float second = c + 1 < p.n ? result(p, c + 1, sums[i + 1]) : 0.0f;
        *reinterpret_cast<unsigned*>(out + (g + 8 * half) * 64 + ((j ^ g) * 8) + 2 * t) =
            pack_bf16(first, second);
      }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int r = 4 * i + lane / 8, chunk = lane % 8;
      const Pack<bf16, 8> x = load_pack<8>(out + r * 64 + ((chunk ^ (r % 8)) * 8));
      if (row + r < p.m)
        store_inside(p.c + (row + r) * p.ldc + column + chunk * 8, x, p.n - column - chunk * 8, packed_c);
    }
    __syncwarp();
  }
}

// A warpgroup: 64 rows of each tile.
template <bool TB>
__device__ __forceinline__ void consume(Shared& s, const Product<bf16>& p, int group, unsigned tiles,
                                        bool packed_c) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize % 4;
  const auto release = [&](int stage) {
    if (threadIdx.x % kWarpSize == 0) arrive(&s.empty[stage]);
  };
  Ring ring;
  for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    float sums[128];
    int previous = 0;
    for (int depth = 0; depth < p.k; depth += kDepth, ring.next()) {
      const Stage& stage = s.stages[ring.stage];
      wait_phase(&s.full[ring.stage], ring.parity);
      const std::uint64_t a = wgmma_operand(stage.a + group * 64 * kDepth, 0, kAtom);
      const std::uint64_t b = wgmma_operand(stage.b, TB ? 0 : 64 * kRowBytes, kAtom);
      fence_wgmma();
#pragma unroll
      for (int d = 0; d < kDepth; d += 16)
        wgmma_256<TB>(sums, advanced(a, d * sizeof(bf16)), advanced(b, TB ? d * sizeof(bf16) : d * kRowBytes),
                      depth + d > 0);
      commit_wgmma();
      if (depth > 0) {  // the products of the step before are done
        wait_wgmma<1>();
        release(previous);
      }
      previous = ring.stage;
    }
    wait_sums(sums);
    release(previous);
    const Corner corner = corner_of<kRows, kColumns>(p, tile);
    store(sums, s.out[4 * group + warp], p, corner.row + 64 * group + 16 * warp, corner.column, packed_c);
  }
}

template <bool TB>
__global__ void __launch_bounds__(kThreads, 1)
    wgmma_kernel(const __grid_constant__ TileMap a, const __grid_constant__ TileMap b, const Product<bf16> p,
                 unsigned tiles, bool packed_c) {
  Shared& s = *reinterpret_cast<Shared*>(align_tiles(dynamic_shared<unsigned char>()));
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      init_barrier(&s.full[i], 1);
      init_barrier(&s.empty[i], 4 * kConsumers);  // the first lane of each warp
    }
    publish_barriers();
  }
  __syncthreads();
  const int group = static_cast<int>(threadIdx.x) / kGroup;
  if (group == kConsumers) {
    give_registers<40>();
    if (threadIdx.x == kConsumers * kGroup) produce<TB>(s, p, a, b, tiles);
  } else {
    take_registers<232>();
    consume<TB>(s, p, group, tiles, packed_c);
  }
}

}  // namespace

bool takes_wgmma(const Matmul& p) {
  return takes_plain_bf16(p) && p.k > 0 && compute_capability() == 90 && mappable(p.a, p.lda) &&
         mappable(p.b, p.ldb);
}

void wgmma(const Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  const unsigned tiles = tiles_of<kRows, kColumns>(p);
  const TileMap a = make_tile_map(p.a, p.m, p.k, p.lda, kRows);
  const TileMap b =
      p.tb ? make_tile_map(p.b, p.n, p.k, p.ldb, kColumns) : make_tile_map(p.b, p.k, p.n, p.ldb, kDepth);
  launch(p.tb ? wgmma_kernel<true> : wgmma_kernel<false>,
         std::min(tiles, static_cast<unsigned>(multiprocessors())), kThreads, kSharedBytes, a, b,
         product_of<bf16>(p), tiles, packed<8>(static_cast<bf16*>(p.c), p.ldc));
}

}  // namespace bp::cuda::matmul_rungs
