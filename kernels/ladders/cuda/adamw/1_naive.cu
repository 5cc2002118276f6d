// A launch per tensor, a thread per element, and the moving average and the copy in the gradient's type in a
// second launch that reads the new weights again. Floor for f32 with averages: 36 bytes an element (w, m, v
// and average read and written, the gradient read); here 40. But bytes are not what it costs: the student has
// 309 tensors, 251 of them below 4096 elements, so there are 245 + 309 launches and one for the norm. Each
// takes microseconds of the processor and of the GPU's front end, for work of a fraction of one.
#include "kernels/ladders/cuda/adamw/rungs.h"
#include "kernels/ladders/cuda/adamw/step.h"

namespace bp::cuda {
namespace memory_ladder {
namespace {

__global__ void __launch_bounds__(kWarpSize)
    find_grad_scale(const float* squares, i64 count, double clip, float* grad_scale) {
  const float scale = grad_scale_of(squares, count, clip);
  if (threadIdx.x == 0) *grad_scale = scale;
}

}  // namespace

Common prepare(const AdamW& a) {
  auto* grad_scale = workspace<float>(0, 1);
  launch(find_grad_scale, 1u, kWarpSize, 0, a.squares, a.count, a.clip, grad_scale);
  return {a.schedule, grad_scale, a.beta1, a.beta2, a.eps};
}

}  // namespace memory_ladder

namespace {

using namespace memory_ladder;

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) update_tensor(Item t, Common common) {
  const Step step = step_of(common, t, *common.grad_scale);
  const i64 i = i64{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= t.n || step.grad_scale < 0) return;
  float w[1];
  update_weights<1, T>(step, t, i, w);
}

template <class T>
__global__ void __launch_bounds__(kThreads) follow_tensor(Item t, Common common) {
  const Step step = step_of(common, t, *common.grad_scale);
  const i64 i = i64{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= t.n || step.grad_scale < 0) return;
  const float w[1] = {t.w[i]};
  follow_weights<1, T>(step, t, i, w);
}

}  // namespace

void adamw_1_naive(const AdamW& a) {
  const Common common = prepare(a);
  for (i64 k = 0; k < a.count; ++k) {
    const Item& t = a.items[k];
    if (t.n == 0) continue;
    with_type(t.dtype, [&](auto element) {
      using T = decltype(element);
      const unsigned blocks = blocks_for(t.n, kThreads);
      if (t.grad) launch(update_tensor<T>, blocks, kThreads, 0, t, common);
      if (t.average || (t.grad && t.copy)) launch(follow_tensor<T>, blocks, kThreads, 0, t, common);
    });
  }
}

}  // namespace bp::cuda
