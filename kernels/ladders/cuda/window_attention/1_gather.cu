// Windows as the published modules make them: copied out of the grid with their padding (window_partition),
// attended to, and copied back (window_unpartition). A block has one query, whose logits are in shared
// memory. For ViT-B in bf16 the 25 windows of 14 x 14 are 4900 tokens for the grid's 4096: 25 MB must be read
// and written (qkv and output), the copies add 60 MB: 22.6 of qkv and 7.5 of output, each written and read
// again.
#include "kernels/ladders/cuda/window_attention/query_block.h"

namespace bp::cuda::windowed {
namespace {

// A thread has one number of windows [units, 3, tokens, d].
template <class T>
__global__ void partition(const Windows<T> a, T* windows) {
  const i64 i = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x, row = i / a.d;
  const int c = static_cast<int>(i % a.d), t = static_cast<int>(row % a.tokens),
            part = static_cast<int>(row / a.tokens % 3);
  const i64 unit = row / a.tokens / 3;
  if (unit < a.units) windows[i] = a.row(unit, part, t)[c];
}

template <class T>
__global__ void __launch_bounds__(kThreads) attend(const Windows<T> a, const T* windows, T* outputs) {
  const i64 unit = blockIdx.x / static_cast<unsigned>(a.tokens);
  const int t = static_cast<int>(blockIdx.x % static_cast<unsigned>(a.tokens));
  const auto rows = [&](int part, int token) {
    return windows + ((unit * 3 + part) * a.tokens + token) * a.d;
  };
  attend_query(a, unit, t, rows, outputs + static_cast<i64>(blockIdx.x) * a.d, dynamic_shared<float>());
}

// A thread has one number of outputs [units, tokens, d].
template <class T>
__global__ void unpartition(const Windows<T> a, const T* outputs) {
  const i64 i = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x, row = i / a.d, unit = row / a.tokens;
  if (unit >= a.units) return;
  T* const to = a.out(unit, static_cast<int>(row % a.tokens));
  if (to) to[i % a.d] = outputs[i];
}

template <class T>
void run(const WindowAttention& args) {
  const Windows<T> a(args);
  if (a.units == 0) return;
  const i64 rows = a.units * a.tokens;
  T *const windows = workspace<T>(0, 3 * rows * a.d), *const outputs = workspace<T>(1, rows * a.d);
  const auto blocks = [](i64 n, i64 each) { return dim3(static_cast<unsigned>(ceil_div(n, each))); };
  launch(partition<T>, blocks(3 * rows * a.d, kThreads), dim3(kThreads), 0, a, windows);
  launch(attend<T>, blocks(rows, 1), dim3(kThreads), query_block_bytes(a), a, windows, outputs);
  launch(unpartition<T>, blocks(rows * a.d, kThreads), dim3(kThreads), 0, a, outputs);
}

}  // namespace

bool takes_query_blocks(const WindowAttention& a) {
  return query_block_bytes(Windows<float>(a)) <= shared_per_block();
}

void gather(const WindowAttention& a) {
  a.dtype == DType::bf16 ? run<bf16>(a) : run<float>(a);
}

}  // namespace bp::cuda::windowed
