// Both products on tensor cores (mma.m16n8k16: bf16 operands, f32 sums). A warp has 16 queries in registers
// as the left operand; 64 keys and values are in shared memory for the block's four warps. P is rounded to
// bf16 and never leaves its registers: what mma gives as a result is laid out as the next product's left
// operand. The peak is 16 times that of f32 on an A100 (312 over 19.5 TFLOP/s), 15 times on an H100 SXM (989
// over 67). It will not come near: positions are two reads of 4 bytes a logit from the table in memory, which
// stands in L2 (25 MB for ViT-B) and is read 12 x 4096 x 4096 times 8 bytes, 1.6 GB, through L1; and every
// tile is waited for, between two barriers.
#include "kernels/ladders/cuda/attention_relpos/position_table.h"
#include "kernels/ladders/cuda/attention_relpos/query_tile.h"

namespace bp::cuda::relpos {
namespace {

template <int D>
__global__ void __launch_bounds__(kTileThreads) attend(const Grid<bf16> a, const float* table) {
  BP_SHARED(bf16, keys, kTile<D>);
  BP_SHARED(bf16, values, kTile<D>);
  BP_SHARED(int, places, kKeys);
  const Work at(a);
  load_tile<D>(keys, TokenRows{a, at.unit, 0, at.first});  // queries pass through
  __syncthreads();
  Queries<D> queries;
  queries.load(keys + warp_id() * kWarpQueries * kTileRow<bf16, D>);
  const int warp_first = at.warp_first < a.tokens ? at.warp_first : a.tokens - 1;
  const float* const positions = table + at.unit * (a.h + a.w) * a.tokens + warp_first;

  Outputs<D> o;
  clear(o);
  OnlineSoftmax<Logits> softmax;
  for (int first = 0; first < a.tokens; first += kKeys) {
    __syncthreads();  // all have left the tiles before
    load_tile<D>(keys, TokenRows{a, at.unit, 1, first});
    load_tile<D>(values, TokenRows{a, at.unit, 2, first});
    load_places(places, a, first);
    __syncthreads();
    Logits s;
    clear(s);
    add_scores(s, queries, keys);
    set_logits(s, a, positions, a.tokens, a.tokens - 1 - warp_first, places, a.tokens - first);
    softmax.add(s, o);
    add_product(o, s, values, nullptr);
  }
  store_outputs(a, at, o, softmax);
}

}  // namespace

bool takes_tensor_cores(const WindowAttention& a) {
  return a.dtype == DType::bf16 && takes_vit_heads(a);
}

void tensor_cores(const WindowAttention& args) {
  const Grid<bf16> a(args);
  if (a.units == 0) return;
  const float* const table = make_position_table(a, 0);
  with_usual_head(a.d, [&](auto d) { launch(attend<d()>, work_blocks(a), dim3(kTileThreads), 0, a, table); });
}

}  // namespace bp::cuda::relpos
