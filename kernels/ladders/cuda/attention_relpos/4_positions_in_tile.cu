// Relative positions in the tile: a block makes the table of its own 64 queries in shared memory, before it
// meets the first key: two small products on tensor cores, 3 % more of them at 64 x 64 ((2h - 1) + (2w - 1)
// columns beside twice h * w). Against the rung before, a launch and a table are gone (25 MB for ViT-B at
// batch 1, 34 MB for ViT-H, written and read), and a warp's two reads a logit, which touched four lines of L1
// each, come from shared memory without bank conflicts. It costs 35 KB of that a block at 64 x 64.
#include "kernels/ladders/cuda/attention_relpos/tile_positions.h"

namespace bp::cuda::relpos {
namespace {

template <int D>
__global__ void __launch_bounds__(kTileThreads) attend(const Grid<bf16> a) {
  BP_SHARED(bf16, keys, kTile<D>);
  BP_SHARED(bf16, values, kTile<D>);
  BP_SHARED(int, places, kKeys);
  auto* const positions = dynamic_shared<float>() + warp_id() * kWarpQueries;
  const Work at(a);
  Queries<D> queries;
  load_queries(queries, keys, a, at);
  make_positions<D>(positions, kPositionStep, a, at, queries, keys);

  Outputs<D> o;
  clear(o);
  OnlineSoftmax<Logits> softmax;
  const int last = a.tokens - 1 - at.warp_first;
  for (int first = 0; first < a.tokens; first += kKeys) {
    __syncthreads();  // all have left the tiles before
    load_tile<D>(keys, TokenRows{a, at.unit, 1, first});
    load_tile<D>(values, TokenRows{a, at.unit, 2, first});
    load_places(places, a, first);
    __syncthreads();
    Logits s;
    clear(s);
    add_scores(s, queries, keys);
    set_logits(s, a, positions, kPositionStep, last, places, a.tokens - first);
    softmax.add(s, o);
    add_product(o, s, values, nullptr);
  }
  store_outputs(a, at, o, softmax);
}

}  // namespace

bool takes_positions_in_tile(const WindowAttention& a) {
  constexpr std::size_t kTilesAndPlaces = 2 * sizeof(bf16) * kTile<80> + sizeof(int) * kKeys;
  return takes_tensor_cores(a) && kTilesAndPlaces + position_bytes(Grid<bf16>(a)) <= shared_per_block();
}

void positions_in_tile(const WindowAttention& args) {
  const Grid<bf16> a(args);
  if (a.units == 0) return;
  with_usual_head(
      a.d, [&](auto d) { launch(attend<d()>, work_blocks(a), dim3(kTileThreads), position_bytes(a), a); });
}

}  // namespace bp::cuda::relpos
