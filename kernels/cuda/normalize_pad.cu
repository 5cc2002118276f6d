// 8-bit RGB to a normalised, zero-padded network input: (x - mean) / std in f32, as PyTorch computes it. A
// thread writes N neighbouring elements of a row, whose channels repeat every three. Floor: x read and y
// written once.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

template <class T, int N>
__global__ void __launch_bounds__(kThreads) normalize_kernel(const NormalizePad a) {
  const i64 inside = 3 * a.w, width = 3 * a.ow, column = (i64{blockIdx.x} * kThreads + threadIdx.x) * N;
  if (column >= width) return;
  for (i64 row = blockIdx.y; row < a.oh; row += gridDim.y) {
    float v[N];
    unsigned channel = static_cast<unsigned>(column) % 3;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float mean = channel == 0 ? a.mean[0] : channel == 1 ? a.mean[1] : a.mean[2];
      const float deviation = channel == 0 ? a.std[0] : channel == 1 ? a.std[1] : a.std[2];
      const bool known = row < a.h && column + i < inside;
      v[i] = known ? (static_cast<float>(a.x[row * inside + column + i]) - mean) / deviation : 0.0f;
      channel = channel == 2 ? 0 : channel + 1;
    }
    store_floats(static_cast<T*>(a.y) + row * width + column, v);
  }
}

template <class T, int N>
void run(const NormalizePad& a) {
  const dim3 grid(static_cast<unsigned>(ceil_div(3 * a.ow, kThreads * N)), grid_for(a.oh, 1));
  launch(normalize_kernel<T, N>, grid, kThreads, 0, a);
}

}  // namespace

void normalize_pad(const NormalizePad& a) {
  if (a.oh == 0 || a.ow == 0) return;
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    if (packs<T>(3 * a.ow, a.y))
      run<T, kPackOf<T>>(a);
    else
      run<T, 1>(a);
  });
}

}  // namespace bp::cuda
