// Windows by index: the same block a query, which finds its rows in the grid (or in `pad`) by arithmetic. The
// two copies and their memory go: for ViT-B in bf16 60 of 85 MB, and two of three launches. Queries that
// stick out, 804 of 4900, are not multiplied with values. Each query still reads all keys and values of its
// window from the caches, 196 x 2 x 64 numbers for 196 x 4 x 64 operations: one operation a byte in bf16.
#include "kernels/ladders/cuda/window_attention/query_block.h"

namespace bp::cuda::windowed {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads) attend(const Windows<T> a) {
  const i64 unit = blockIdx.x / static_cast<unsigned>(a.tokens);
  const int t = static_cast<int>(blockIdx.x % static_cast<unsigned>(a.tokens));
  const auto rows = [&](int part, int token) { return a.row(unit, part, token); };
  attend_query(a, unit, t, rows, a.out(unit, t), dynamic_shared<float>());
}

template <class T>
void run(const WindowAttention& args) {
  const Windows<T> a(args);
  if (a.units == 0) return;
  launch(attend<T>, dim3(static_cast<unsigned>(a.units * a.tokens)), dim3(kThreads), query_block_bytes(a), a);
}

}  // namespace

void by_index(const WindowAttention& a) {
  a.dtype == DType::bf16 ? run<bf16>(a) : run<float>(a);
}

}  // namespace bp::cuda::windowed
