// Both products on tensor cores (mma.m16n8k16: bf16 operands, f32 sums). A warp has 16 queries in registers
// as the left operand; 64 keys and values are in shared memory for the block's four warps. P is rounded to
// bf16 and never leaves its registers: what mma gives as a result is laid out as the next product's left
// operand. The peak is 16 times that of f32 on an A100 (312 over 19.5 TFLOP/s), 15 times on an H100 SXM (989
// over 67). It will not come near that: a kernel before makes the table of positions (25 MB for ViT-B), of
// which each logit reads two entries through L1, 1.6 GB; and every tile is waited for, between two barriers.
#include "kernels/ladders/cuda/attention_relpos/tile_positions.h"

namespace bp::cuda::relpos {
namespace {

// All blocks' tables together are one of [units, h + w, tokens].
__device__ __forceinline__ float* table_of_warp(float* table, const Grid<bf16>& a, const Work& at) {
  return table + at.unit * (a.h + a.w) * a.tokens + at.warp_first;
}

template <int D>
__global__ void __launch_bounds__(kTileThreads) position_table(const Grid<bf16> a, float* table) {
  BP_SHARED(bf16, tile, kTile<D>);
  const Work at(a);
  Queries<D> queries;
  load_queries(queries, tile, a, at);
  make_positions<D>(table_of_warp(table, a, at), a.tokens, a, at, queries, tile);
}

template <int D>
__global__ void __launch_bounds__(kTileThreads) attend(const Grid<bf16> a, float* table) {
  BP_SHARED(bf16, keys, kTile<D>);
  BP_SHARED(bf16, values, kTile<D>);
  BP_SHARED(int, places, kKeys);
  const Work at(a);
  Queries<D> queries;
  load_queries(queries, keys, a, at);
  const float* const positions = table_of_warp(table, a, at);
  const int last = a.tokens - 1 - at.warp_first;

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
    set_logits(s, a, positions, a.tokens, last, places, a.tokens - first);
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
  auto* const table = workspace<float>(0, a.units * (a.h + a.w) * a.tokens);
  with_usual_head(a.d, [&](auto d) {
    launch(position_table<d()>, work_blocks(a), dim3(kTileThreads), 0, a, table);
    launch(attend<d()>, work_blocks(a), dim3(kTileThreads), 0, a, table);
  });
}

}  // namespace bp::cuda::relpos
