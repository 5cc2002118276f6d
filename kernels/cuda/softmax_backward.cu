// dx = y (dy - sum(y dy)) over rows.
#include "kernels/cuda/row_dot.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

struct Slope {
  __device__ float of_row(i64) const { return 0; }
  __device__ float operator()(float y, float dy, float dot, float) const { return y * (dy - dot); }
};

}  // namespace

void softmax_backward(const SoftmaxBackward& a) {
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    row_dot(RowDot<T, Slope>{static_cast<const T*>(a.y), static_cast<const T*>(a.dy), static_cast<T*>(a.dx),
                             a.rows, a.cols, Slope{}});
  });
}

}  // namespace bp::cuda
