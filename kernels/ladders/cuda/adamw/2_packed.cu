// Against rung 1: a thread takes four elements by loads and stores of 16 bytes (8 for a gradient in bf16). A
// quarter of the instructions for the same bytes, and four times the bytes under way for each warp. That
// helps tensors of a million elements, of which a large network is made; the student's launches stay 555, and
// hardly any of them has enough elements to notice. Tensors beside an address of 16 bytes go one by one.
#include <type_traits>

#include "kernels/ladders/cuda/adamw/rungs.h"
#include "kernels/ladders/cuda/adamw/step.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256;

// f(i, number of elements as a constant) for this thread's elements of a tensor.
template <int N, class F>
__device__ __forceinline__ void each_element(i64 n, const F& f) {
  const i64 first = (i64{blockIdx.x} * kThreads + threadIdx.x) * N;
  if (first + N <= n)
    f(first, std::integral_constant<int, N>());
  else
    for (i64 i = first; i < n; ++i) f(i, std::integral_constant<int, 1>());
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) update_packs(Item t, Common common) {
  const Step step = step_of(common, t, *common.grad_scale);
  if (step.grad_scale < 0) return;
  each_element<N>(t.n, [&](i64 i, auto count) {
    float w[count()];
    update_weights<count(), T>(step, t, i, w);
  });
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) follow_packs(Item t, Common common) {
  const Step step = step_of(common, t, *common.grad_scale);
  if (step.grad_scale < 0) return;
  each_element<N>(t.n, [&](i64 i, auto count) {
    float w[count()];
    load_floats(t.w + i, w);
    follow_weights<count(), T>(step, t, i, w);
  });
}

template <class T, int N>
void run(const Item& t, const Common& common) {
  const unsigned blocks = blocks_for(t.n, kThreads * N);
  if (t.grad) launch(update_packs<T, N>, blocks, kThreads, 0, t, common);
  if (t.average || (t.grad && t.copy)) launch(follow_packs<T, N>, blocks, kThreads, 0, t, common);
}

}  // namespace

void adamw_2_packed(const AdamW& a) {
  const Common common = prepare(a);
  for (i64 k = 0; k < a.count; ++k) {
    const Item& t = a.items[k];
    if (t.n == 0) continue;
    with_type(t.dtype, [&](auto element) {
      using T = decltype(element);
      in_packs(t) ? run<T, 4>(t, common) : run<T, 1>(t, common);
    });
  }
}

}  // namespace bp::cuda
