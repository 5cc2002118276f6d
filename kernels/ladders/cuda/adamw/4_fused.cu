// Against rung 3: the moving average and the copy are made while the new weights are in registers. An element
// is 36 bytes instead of 40 (f32 with average, or bf16 with average and copy), and the student's launches are
// 8 instead of 15. A thread has five packs under way at once, 80 bytes, and at 58 registers 1024 threads fit
// on a multiprocessor: 80 KB in flight, more than latency times bandwidth asks for.
#include "kernels/ladders/cuda/adamw/chunks.h"
#include "kernels/ladders/cuda/adamw/rungs.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

using Tensors = Table<48, 4096>;

template <class T>
__device__ __forceinline__ void all_of_chunk(const Step& step, const Item& t, const Chunk& chunk) {
  each_of_chunk(t, chunk, [&](i64 i, auto count) {
    float w[count()];
    if (t.grad)
      update_weights<count(), T>(step, t, i, w);
    else
      load_floats(t.w + i, w);
    follow_weights<count(), T>(step, t, i, w);
  });
}

__global__ void __launch_bounds__(kChunkThreads) all_of_chunks(Tensors table, Common common) {
  const Chunk chunk = chunk_of_block(table);
  const Item t = table.items[chunk.item];
  const Step step = step_of(common, t, *common.grad_scale);
  if ((!t.grad && !t.average) || step.grad_scale < 0) return;
  t.dtype == DType::f32 ? all_of_chunk<float>(step, t, chunk) : all_of_chunk<bf16>(step, t, chunk);
}

}  // namespace

void adamw_4_fused(const AdamW& a) {
  const Common common = prepare(a);
  each_table<Tensors>(a, [&](const Tensors& table, unsigned chunks) {
    launch(all_of_chunks, chunks, kChunkThreads, 0, table, common);
  });
}

}  // namespace bp::cuda
