// Against rung 2: a launch takes 48 tensors, as a table in its arguments (4 KB is what every CUDA version
// allows), cut into chunks of 4096 elements; a block finds its tensor by bisection of the chunks' numbers.
// The student's 309 tensors are 7 tables, 15 launches with both passes and the norm instead of 555. A small
// tensor costs a block, which runs beside all others, instead of a launch, which does not.
#include "kernels/ladders/cuda/adamw/chunks.h"
#include "kernels/ladders/cuda/adamw/rungs.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

using Tensors = Table<48, 4096>;
static_assert(sizeof(Tensors) + sizeof(Common) <= 4096);

template <class T>
__device__ __forceinline__ void update_chunk(const Step& step, const Item& t, const Chunk& chunk) {
  each_of_chunk(t, chunk, [&](i64 i, auto count) {
    float w[count()];
    update_weights<count(), T>(step, t, i, w);
  });
}
template <class T>
__device__ __forceinline__ void follow_chunk(const Step& step, const Item& t, const Chunk& chunk) {
  each_of_chunk(t, chunk, [&](i64 i, auto count) {
    float w[count()];
    load_floats(t.w + i, w);
    follow_weights<count(), T>(step, t, i, w);
  });
}

__global__ void __launch_bounds__(kChunkThreads) update_chunks(Tensors table, Common common) {
  const Chunk chunk = chunk_of_block(table);
  const Item t = table.items[chunk.item];
  const Step step = step_of(common, t, *common.grad_scale);
  if (!t.grad || step.grad_scale < 0) return;
  t.dtype == DType::f32 ? update_chunk<float>(step, t, chunk) : update_chunk<bf16>(step, t, chunk);
}

__global__ void __launch_bounds__(kChunkThreads) follow_chunks(Tensors table, Common common) {
  const Chunk chunk = chunk_of_block(table);
  const Item t = table.items[chunk.item];
  const Step step = step_of(common, t, *common.grad_scale);
  if ((!t.average && !t.copy) || step.grad_scale < 0) return;
  t.dtype == DType::f32 ? follow_chunk<float>(step, t, chunk) : follow_chunk<bf16>(step, t, chunk);
}

}  // namespace

void adamw_3_multi_tensor(const AdamW& a) {
  const Common common = prepare(a);
  each_table<Tensors>(a, [&](const Tensors& table, unsigned chunks) {
    launch(update_chunks, chunks, kChunkThreads, 0, table, common);
    launch(follow_chunks, chunks, kChunkThreads, 0, table, common);
  });
}

}  // namespace bp::cuda
