// The copies in the background: cp.async brings the next tile of keys and values into a second buffer while
// tensor cores work on this one, so a block no longer stops for memory at every tile, one of the two barriers
// of a tile goes, and the copies need no registers on their way. It costs a second pair of tiles, 18 KB at
// d = 64: with positions 72 KB a block, three blocks a multiprocessor on an H100, two on an A100.
// What is left then is shared memory itself: for 16 x 64 logits a warp reads keys and values in 128 cycles
// and positions in 80, while an H100's tensor cores need 64 for the products and 64 go to 2^x, 16 a cycle.
#include "kernels/ladders/cuda/attention_relpos/tile_positions.h"

namespace bp::cuda::relpos {
namespace {

// Keys and values of a tile behind each other, in the background.
template <int D>
__device__ __forceinline__ void fetch(bf16* tiles, const Grid<bf16>& a, i64 unit, int first) {
  constexpr int kPacks = D / 8;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kKeys * kPacks; i += kTileThreads) {
    const int r = i / kPacks % kKeys, part = i / kPacks / kKeys, c = i % kPacks * 8;
    const bool valid = first + r < a.tokens;
    copy_async16(tiles + part * kTile<D> + r * kTileRow<bf16, D> + c,
                 a.row(unit, 1 + part, valid ? first + r : 0) + c, valid);
  }
  commit_copies();
}

template <int D>
__global__ void __launch_bounds__(kTileThreads) attend(const Grid<bf16> a) {
  BP_SHARED(int, places, 2 * kKeys);
  auto* const tiles = dynamic_shared<bf16>();  // [2 stages][keys, values]
  auto* const positions = reinterpret_cast<float*>(tiles + 4 * kTile<D>) + warp_id() * kWarpQueries;
  const Work at(a);
  fetch<D>(tiles, a, at.unit, 0);
  load_places(places, a, 0);
  bf16* const second = tiles + 2 * kTile<D>;  // free until the second tile of keys
  Queries<D> queries;
  load_queries(queries, second, a, at);
  make_positions<D>(positions, kPositionStep, a, at, queries, second);

  Outputs<D> o;
  clear(o);
  OnlineSoftmax<Logits> softmax;
  const int last = a.tokens - 1 - at.warp_first;
  int stage = 0;
  for (int first = 0; first < a.tokens; first += kKeys, stage = 1 - stage) {
    wait_copies<0>();
    __syncthreads();  // this tile is there for all, and all have left the other
    if (first + kKeys < a.tokens) {
      fetch<D>(tiles + (1 - stage) * 2 * kTile<D>, a, at.unit, first + kKeys);
      load_places(places + (1 - stage) * kKeys, a, first + kKeys);
    }
    const bf16* const keys = tiles + stage * 2 * kTile<D>;
    Logits s;
    clear(s);
    add_scores(s, queries, keys);
    set_logits(s, a, positions, kPositionStep, last, places + stage * kKeys, a.tokens - first);
    softmax.add(s, o);
    add_product(o, s, keys + kTile<D>, nullptr);
  }
  store_outputs(a, at, o, softmax);
}

std::size_t shared_bytes(const Grid<bf16>& a) {
  return static_cast<std::size_t>(4 * kKeys * (a.d + 8)) * sizeof(bf16) + position_bytes(a);
}

}  // namespace

bool takes_pipelined(const WindowAttention& a) {
  return takes_tensor_cores(a) && shared_bytes(Grid<bf16>(a)) + 2 * kKeys * sizeof(int) <= shared_per_block();
}

void pipelined(const WindowAttention& args) {
  const Grid<bf16> a(args);
  if (a.units == 0) return;
  with_usual_head(
      a.d, [&](auto d) { launch(attend<d()>, work_blocks(a), dim3(kTileThreads), shared_bytes(a), a); });
}

}  // namespace bp::cuda::relpos
