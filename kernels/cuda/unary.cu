// Elementwise functions of one tensor. Floor: x read and y written once.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

template <class T, UnaryOp Op>
struct Mapped {
  const T* x;
  T* y;
  float alpha, beta;
  __device__ float of(float v) const {
    if constexpr (Op == UnaryOp::gelu)
      return gelu_of(v);
    else if constexpr (Op == UnaryOp::relu)
      return fmaxf(v, 0.0f);
    else if constexpr (Op == UnaryOp::sigmoid)
      return 1 / (1 + expf(-v));
    else
      return alpha * v + beta;
  }
  template <int N>
  __device__ void at(i64 i) const {
    float v[N];
    load_floats(x + i, v);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = of(v[k]);
    store_floats(y + i, v);
  }
};

template <class T, UnaryOp Op>
void run(const Unary& a) {
  each<kPackOf<T>>(Mapped<T, Op>{static_cast<const T*>(a.x), static_cast<T*>(a.y), a.alpha, a.beta}, a.n,
                   aligned16(a.x, a.y));
}

}  // namespace

void unary(const Unary& a) {
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
