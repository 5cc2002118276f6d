// Elementwise functions of one tensor, and their derivatives.
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kGrain = 16384;

template <class T, class F>
void map(const k::Unary& p, F f) {
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  parallel_for(p.n, kGrain, [&](i64 begin, i64 end) {
    i64 i = begin;
    for (; i + kLanes <= end; i += kLanes) store(y + i, f(load(x + i)));
    if (i < end) store_part(y + i, f(load_part(x + i, end - i)), end - i);
  });
}

template <class T>
void run(const k::Unary& p) {
  switch (p.op) {
    case k::UnaryOp::gelu:
      return map<T>(p, [](vf x) { return gelu(x); });
    case k::UnaryOp::relu:
      return map<T>(p, [](vf x) { return relu(x); });
    case k::UnaryOp::sigmoid:
      return map<T>(p, [](vf x) { return sigmoid(x); });
    case k::UnaryOp::affine:
      return map<T>(p, [&](vf x) { return p.alpha * x + p.beta; });
  }
}

// dx = dy * f(x)
template <class T, class F>
void map_backward(const k::UnaryBackward& p, F f) {
  const T *x = static_cast<const T*>(p.x), *dy = static_cast<const T*>(p.dy);
  T* dx = static_cast<T*>(p.dx);
  parallel_for(p.n, kGrain, [&](i64 begin, i64 end) {
    i64 i = begin;
    for (; i + kLanes <= end; i += kLanes) store(dx + i, load(dy + i) * f(load(x + i)));
    if (i < end) {
      const i64 left = end - i;
      store_part(dx + i, load_part(dy + i, left) * f(load_part(x + i, left)), left);
    }
  });
}

BP_INLINE vf sigmoid_slope(vf x) {
  const vf s = sigmoid(x);
  return s * (1.0f - s);
}

template <class T>
void run(const k::UnaryBackward& p) {
  switch (p.op) {
    case k::UnaryOp::gelu:
      return map_backward<T>(p, [](vf x) { return gelu_slope(x); });
    case k::UnaryOp::relu:
      return map_backward<T>(p, [](vf x) { return relu_slope(x); });
    case k::UnaryOp::sigmoid:
      return map_backward<T>(p, [](vf x) { return sigmoid_slope(x); });
    case k::UnaryOp::affine:
      return map_backward<T>(p, [&](vf) { return splat(p.alpha); });
  }
}

}  // namespace

void unary(const k::Unary& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void unary_backward(const k::UnaryBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
