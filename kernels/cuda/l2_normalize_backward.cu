// dx = (dy - y sum(y dy)) / norm over rows, dy / eps where the norm was below eps.
#include "kernels/cuda/row_dot.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

struct Slope {
  const float* norms;
  float eps;
  __device__ float of_row(i64 row) const { return norms[row]; }
  __device__ float operator()(float y, float dy, float dot, float norm) const {
    return (norm > eps ? dy - y * dot : dy) * (1 / norm);
  }
};

}  // namespace

void l2_normalize_backward(const L2NormalizeBackward& a) {
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    row_dot(RowDot<T, Slope>{static_cast<const T*>(a.y), static_cast<const T*>(a.dy), static_cast<T*>(a.dx),
                             a.rows, a.cols, Slope{a.norms, a.eps}});
  });
}

}  // namespace bp::cuda
