// Gradients of window attention with a bias table or none; the kernels are attend_backward.h's. What all
// windows share, table and padding, is summed in two passes: blocks leave their sums, which are added up in
// order.
#include "kernels/cuda/attend_backward.h"

namespace bp::cuda {
namespace {

// out[head * head_step + i / part * part_step + i % part] = sum of x[block][i] over the blocks of that head:
// x [outer, heads, blocks, length].
template <class T>
struct HeadSums {
  const float* x;
  T* out;
  i64 outer, heads, blocks;
  int length, part;
  i64 head_step, part_step;
};

constexpr int kSumWarps = 8;

// A block has 32 neighbouring entries, a lane one of them; warps take blocks in turn. Floor: one reading of
// x.
template <class T>
__global__ void add_up(HeadSums<T> p) {
  BP_SHARED(float, sums, kSumWarps* kWarpSize);
  const int groups = (p.length + kWarpSize - 1) / kWarpSize;
  const i64 head = blockIdx.x / static_cast<unsigned>(groups);
  const int i = static_cast<int>(blockIdx.x % static_cast<unsigned>(groups)) * kWarpSize + lane_id();
  float sum = 0.0f;
  if (i < p.length)
    for (i64 k = warp_id(); k < p.outer * p.blocks; k += kSumWarps)
      sum += p.x[((k / p.blocks * p.heads + head) * p.blocks + k % p.blocks) * p.length + i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (warp_id() > 0 || i >= p.length) return;
  for (int warp = 1; warp < kSumWarps; ++warp) sum += sums[warp * kWarpSize + lane_id()];
  p.out[head * p.head_step + i / p.part * p.part_step + i % p.part] = store_as<T>(sum);
}

template <class T>
void launch_add_up(const HeadSums<T>& p) {
  launch(add_up<T>, dim3(static_cast<unsigned>(p.heads * ceil_div(p.length, kWarpSize))),
         dim3(kSumWarps * kWarpSize), 0, p);
}

template <class T>
void run(const WindowAttentionBackward& b) {
  const WindowAttention& a = b.forward;
  const Windows<T, Position::table> windows(a);
  const auto* dout = static_cast<const T*>(b.dout);
  auto* dqkv = static_cast<T*>(b.dqkv);
  const i64 blocks = ceil_div(windows.queries, 64), sums = windows.units * blocks;
  const Gradients<Windows<T, Position::table>> source = [&] {
    Gradients<Windows<T, Position::table>> g{windows,
                                             dout,
                                             {dqkv, dqkv, dqkv},
                                             workspace<float2>(0, windows.units * windows.queries),
                                             b.dbias ? workspace<float>(1, sums * windows.keys) : nullptr,
                                             b.dpad ? workspace<float>(2, sums * 3 * windows.d) : nullptr,
                                             windows.packed && packs<T>(a.d, dout)};
    g.pairs = can_pair<T>(a.d, dqkv);
    return g;
  }();
  attend_backward(source);
  const i64 outer = windows.units / a.heads;
  if (b.dbias)
    launch_add_up<T>({source.table, static_cast<T*>(b.dbias), outer, a.heads, blocks, windows.keys,
                      windows.keys, windows.keys, 0});
  if (b.dpad)
    launch_add_up<T>({source.padding, static_cast<T*>(b.dpad), outer, a.heads, blocks, 3 * windows.d,
                      windows.d, windows.head_step, windows.part_step});
}

}  // namespace

void window_attention_backward(const WindowAttentionBackward& b) {
  if (b.forward.rel_h) throw std::logic_error("window_attention: no gradient with relative positions");
  if (b.forward.dtype == DType::bf16)
    run<bf16>(b);
  else
    run<float>(b);
}

}  // namespace bp::cuda
