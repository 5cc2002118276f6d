// Against rung 4: one launch for all. Arguments may be 32764 bytes since CUDA 12.1, which is 400 tensors; and
// no launch goes ahead for the gradients' factor: each warp makes it from the norms' squares (309 floats,
// from L2) while the loads of its tensor are under way. So 1 launch instead of 8, and none waits for another.
// A chunk is 2048 elements, two packs a thread, and all of a thread's loads are asked for before the first is
// needed: 160 bytes in flight, and blocks so short that the last ones to end end together.
#include "kernels/ladders/cuda/adamw/chunks.h"
#include "kernels/ladders/cuda/adamw/rungs.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

#if defined(CUDART_VERSION) && CUDART_VERSION < 12010
constexpr int kTensors = 48;
#else
constexpr int kTensors = 400;
#endif
constexpr int kPacks = 2;  // of four elements, for a thread
using Tensors = Table<kTensors, kPacks * 4 * kChunkThreads>;

struct Norms {
  const float* squares;
  i64 count;
  double clip;
};
static_assert(sizeof(Tensors) + sizeof(Common) + sizeof(Norms) <= 32764);

// What a step reads of N elements, and its end once all is there.
template <class T, int N>
struct Held {
  float g[N], w[N], m[N], v[N], average[N];

  __device__ __forceinline__ void load(const Item& t, i64 i) {
    load_floats(t.w + i, w);
    if (t.average) load_floats(t.average + i, average);
    if (!t.grad) return;
    load_floats(static_cast<const T*>(t.grad) + i, g);
    load_floats(t.m + i, m);
    load_floats(t.v + i, v);
  }
  __device__ __forceinline__ void finish(const Step& step, const Item& t, i64 i) {
    if (t.grad) {
#pragma unroll
      for (int k = 0; k < N; ++k) update(step, g[k], w[k], m[k], v[k]);
      store_floats(t.w + i, w);
      store_floats(t.m + i, m);
      store_floats(t.v + i, v);
      if (t.copy) store_floats(static_cast<T*>(t.copy) + i, w);
    }
    if (!t.average) return;
#pragma unroll
    for (int k = 0; k < N; ++k) average[k] += step.average_step * (w[k] - average[k]);
    store_floats(t.average + i, average);
  }
};

template <class T>
__device__ __forceinline__ void run_chunk(const Item& t, const Chunk& chunk, const Common& common,
                                          const Norms& norms) {
  const int thread = static_cast<int>(threadIdx.x);
  const i64 packed = in_packs(t) ? chunk.begin + (chunk.end - chunk.begin) / 4 * 4 : chunk.begin;
  Held<T, 4> held[kPacks];
  const auto each_pack = [&](auto f) {
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      if (const i64 i = chunk.begin + (k * kChunkThreads + thread) * 4; i < packed) f(held[k], i);
  };
  each_pack([&](Held<T, 4>& h, i64 i) { h.load(t, i); });
  const Step step = step_of(common, t, grad_scale_of(norms.squares, norms.count, norms.clip));
  if (step.grad_scale < 0) return;
  each_pack([&](Held<T, 4>& h, i64 i) { h.finish(step, t, i); });
  for (i64 i = packed + thread; i < chunk.end; i += kChunkThreads) {
    Held<T, 1> one;
    one.load(t, i);
    one.finish(step, t, i);
  }
}

__global__ void __launch_bounds__(kChunkThreads) one_launch(Tensors table, Common common, Norms norms) {
  const Chunk chunk = chunk_of_block(table);
  const Item t = table.items[chunk.item];
  if (!t.grad && !t.average) return;
  t.dtype == DType::f32 ? run_chunk<float>(t, chunk, common, norms)
                        : run_chunk<bf16>(t, chunk, common, norms);
}

}  // namespace

void adamw_5_one_launch(const AdamW& a) {
  const Common common{a.schedule, nullptr, a.beta1, a.beta2, a.eps};
  each_table<Tensors>(a, [&](const Tensors& table, unsigned chunks) {
    launch(one_launch, chunks, kChunkThreads, 0, table, common, Norms{a.squares, a.count, a.clip});
  });
}

}  // namespace bp::cuda
