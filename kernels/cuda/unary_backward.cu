// The derivatives of elementwise functions. Floor: x and dy read (affine: dy alone), dx written once.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

template <class T, UnaryOp Op>
struct MappedBackward {
  const T *x, *dy;
  T* dx;
  float alpha;
  __device__ float slope(float v) const {
    if constexpr (Op == UnaryOp::gelu) {
      return gelu_slope(v);
    } else if constexpr (Op == UnaryOp::relu) {
      return v > 0 ? 1.0f : 0.0f;
    } else {
      const float s = 1 / (1 + expf(-v));
      return s * (1 - s);
    }
  }
  template <int N>
  __device__ void at(i64 i) const {
    float d[N];
    load_floats(dy + i, d);
    if constexpr (Op == UnaryOp::affine) {
#pragma unroll
      for (int k = 0; k < N; ++k) d[k] *= alpha;
    } else {
      float v[N];
      load_floats(x + i, v);
#pragma unroll
      for (int k = 0; k < N; ++k) d[k] *= slope(v[k]);
    }
    store_floats(dx + i, d);
  }
};

template <class T, UnaryOp Op>
void run(const UnaryBackward& a) {
  each<kPackOf<T>>(MappedBackward<T, Op>{static_cast<const T*>(a.x), static_cast<const T*>(a.dy),
                                         static_cast<T*>(a.dx), a.alpha},
                   a.n, aligned16(a.x, a.dy, a.dx));
}

}  // namespace

void unary_backward(const UnaryBackward& a) {
  with_type(a.dtype, [&](auto element) {
    using T = decltype(element);
    switch (a.op) {
      case UnaryOp::gelu:
        return run<T, UnaryOp::gelu>(a);
      case UnaryOp::relu:
        return run<T, UnaryOp::relu>(a);
      case UnaryOp::sigmoid:
        return run<T, UnaryOp::sigmoid>(a);
      case UnaryOp::affine:
        return run<T, UnaryOp::affine>(a);
    }
  });
}

}  // namespace bp::cuda
