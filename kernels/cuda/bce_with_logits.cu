// Binary cross entropy on logits, its mean and gradient in one pass:
//   -t log s(x) - (1 - t) log(1 - s(x)) = max(x, 0) - x t + log(1 + e^-|x|),  derivative s(x) - t.
// Floor: x and targets read, dx written once. Blocks leave their sums; one block adds them in order.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

template <class T, int N>
__device__ __forceinline__ void add_losses(const BceWithLogits& a, i64 at, float share, float& loss,
                                           float& outside) {
  float x[N], t[N];
  load_floats(static_cast<const T*>(a.x) + at, x);
  load_floats(static_cast<const T*>(a.targets) + at, t);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float e = expf(-fabsf(x[i])), s = (x[i] < 0 ? e : 1.0f) / (1 + e);
    loss += fmaxf(x[i], 0.0f) - x[i] * t[i] + log1pf(e);
    outside += t[i] >= 0 && t[i] <= 1 ? 0.0f : 1.0f;
    x[i] = (s - t[i]) * share;
  }
  if (a.dx) store_floats(static_cast<T*>(a.dx) + at, x);
}

// partial [2, blocks]: losses, targets out of range.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) losses(BceWithLogits a, float share, float* partial) {
  BP_SHARED(float, scratch, 32);
  const i64 first = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x, whole = a.n / N;
  const i64 threads = static_cast<i64>(gridDim.x) * kThreads;
  float loss = 0, outside = 0;
  for (i64 i = first; i < whole; i += threads) add_losses<T, N>(a, i * N, share, loss, outside);
  if (whole * N + first < a.n) add_losses<T, 1>(a, whole * N + first, share, loss, outside);
  loss = block_sum(loss, scratch);
  outside = block_sum(outside, scratch);
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = loss;
  partial[gridDim.x + blockIdx.x] = outside;
}

template <class T>
__global__ void __launch_bounds__(kThreads) finish(BceWithLogits a, const float* partial, int blocks) {
  BP_SHARED(float, scratch, 32);
  float loss = 0, outside = 0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kThreads) {
    loss += partial[i];
    outside += partial[blocks + i];
  }
  loss = block_sum(loss, scratch);
  outside = block_sum(outside, scratch);
  if (threadIdx.x != 0) return;
  *static_cast<T*>(a.loss) = store_as<T>(loss / static_cast<float>(a.n));
  *a.outside = outside;
}

template <class T, int N>
void run(const BceWithLogits& a) {
  const unsigned blocks = grid_for(a.n, kThreads * N, 8 * multiprocessors());
  auto* partial = workspace<float>(0, 2 * i64{blocks});
  launch(losses<T, N>, blocks, kThreads, 0, a, 1 / static_cast<float>(a.n), partial);
  launch(finish<T>, 1u, kThreads, 0, a, partial, blocks);
}

}  // namespace

void bce_with_logits(const BceWithLogits& a) {
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    aligned16(a.x, a.targets, a.dx) ? run<T, kPackOf<T>>(a) : run<T, 1>(a);
  });
}

}  // namespace bp::cuda
