// Convolutions, dense and depthwise, and their gradients on the emulator against the CPU's.
#include "tests/simt_arrays.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Convolution {
  i64 n, h, w, c, o, kernel, stride, pad;
  bool bias = true;
  k::Act act = k::Act::none;
  i64 skip = 0;  // elements before every tensor

  i64 out(i64 in) const { return (in + 2 * pad - kernel) / stride + 1; }
  i64 outputs() const { return n * out(h) * out(w); }
};

void check_conv2d(const Convolution& p) {
  CAPTURE(p.h);
  CAPTURE(p.w);
  CAPTURE(p.c);
  CAPTURE(p.o);
  CAPTURE(p.kernel);
  CAPTURE(p.stride);
  CAPTURE(p.pad);
  const k::Kernels &kernels = simt::backend()->kernels, &host = cpu::kernels();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    const Floats x = rounded(numbers(p.n * p.h * p.w * p.c, 1), dtype),
                 weight = rounded(numbers(p.o * p.kernel * p.kernel * p.c, 2), dtype),
                 bias = rounded(numbers(p.o, 3), dtype), dy = rounded(numbers(p.outputs() * p.o, 4), dtype);
    Floats y(dy.size()), dx(x.size()), dweight(weight.size());
    k::Conv2d forward{x.data(), weight.data(), p.bias ? bias.data() : nullptr,
                      y.data(), p.n,           p.h,
                      p.w,      p.c,           p.o,
                      p.kernel, p.kernel,      p.stride,
                      p.pad,    p.act,         DType::f32};
    k::Conv2dBackward backward{x.data(), weight.data(), dy.data(), dx.data(), dweight.data(),
                               p.n,      p.h,           p.w,       p.c,       p.o,
                               p.kernel, p.kernel,      p.stride,  p.pad,     DType::f32};
    host.conv2d(forward);
    host.conv2d_backward(backward);

    const DeviceArray xs(x, dtype, p.skip), weights(weight, dtype, p.skip), biases(bias, dtype, p.skip),
        dys(dy, dtype, p.skip);
    forward.x = backward.x = xs.data();
    forward.weight = backward.weight = weights.data();
    if (p.bias) forward.bias = biases.data();
    backward.dy = dys.data();
    forward.dtype = backward.dtype = dtype;
    in_orders([&] {
      const DeviceArray to_y(p.outputs() * p.o, dtype, p.skip),
          to_dx(static_cast<i64>(x.size()), dtype, p.skip),
          to_dweight(static_cast<i64>(weight.size()), dtype, p.skip);
      forward.y = to_y.data();
      backward.dx = to_dx.data();
      backward.dweight = to_dweight.data();
      kernels.conv2d(forward);
      kernels.conv2d_backward(backward);
      CHECK(distance(to_y.values(), y, dtype) < 1);
      CHECK(distance(to_dx.values(), dx, dtype) < 1);
      CHECK(distance(to_dweight.values(), dweight, dtype) < 1);
    });
  }
}

struct Spatial {
  i64 n, h, w, c, stride;
  bool bias = true;
  k::Act act = k::Act::none;
  i64 skip = 0;

  i64 out(i64 in) const { return (in - 1) / stride + 1; }
};

void check_depthwise(const Spatial& p) {
  CAPTURE(p.n);
  CAPTURE(p.h);
  CAPTURE(p.w);
  CAPTURE(p.c);
  CAPTURE(p.stride);
  const k::Kernels &kernels = simt::backend()->kernels, &host = cpu::kernels();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    const Floats x = rounded(numbers(p.n * p.h * p.w * p.c, 1), dtype),
                 weight = rounded(numbers(9 * p.c, 2), dtype), bias = rounded(numbers(p.c, 3), dtype),
                 dy = rounded(numbers(p.n * p.out(p.h) * p.out(p.w) * p.c, 4), dtype);
    Floats y(dy.size()), dx(x.size()), dweight(weight.size());
    k::Depthwise forward{
        x.data(), weight.data(), p.bias ? bias.data() : nullptr, y.data(), p.n, p.h, p.w, p.c, p.stride,
        p.act,    DType::f32};
    k::DepthwiseBackward backward{x.data(), weight.data(), dy.data(), dx.data(), dweight.data(), p.n,
                                  p.h,      p.w,           p.c,       p.stride,  DType::f32};
    host.depthwise(forward);
    host.depthwise_backward(backward);

    const DeviceArray xs(x, dtype, p.skip), weights(weight, dtype, p.skip), biases(bias, dtype, p.skip),
        dys(dy, dtype, p.skip);
    forward.x = backward.x = xs.data();
    forward.weight = backward.weight = weights.data();
    if (p.bias) forward.bias = biases.data();
    backward.dy = dys.data();
    forward.dtype = backward.dtype = dtype;
    in_orders([&] {
      const DeviceArray to_y(static_cast<i64>(y.size()), dtype, p.skip),
          to_dx(static_cast<i64>(x.size()), dtype, p.skip),
          to_dweight(static_cast<i64>(weight.size()), dtype, p.skip);
      forward.y = to_y.data();
      backward.dx = to_dx.data();
      backward.dweight = to_dweight.data();
      kernels.depthwise(forward);
      kernels.depthwise_backward(backward);
      CHECK(distance(to_y.values(), y, dtype) < 1);
      CHECK(distance(to_dx.values(), dx, dtype) < 1);
      CHECK(distance(to_dweight.values(), dweight, dtype) < 1);
    });
  }
}

}  // namespace

TEST_CASE("dense convolutions and their gradients") {
  check_conv2d({.n = 2, .h = 5, .w = 7, .c = 3, .o = 5, .kernel = 3, .stride = 1, .pad = 1});
  check_conv2d(
      {.n = 2, .h = 9, .w = 6, .c = 8, .o = 16, .kernel = 3, .stride = 2, .pad = 1, .act = k::Act::gelu});
  check_conv2d({.n = 1, .h = 8, .w = 12, .c = 3, .o = 8, .kernel = 4, .stride = 4, .pad = 0, .bias = false});
  check_conv2d(
      {.n = 1, .h = 11, .w = 10, .c = 4, .o = 3, .kernel = 4, .stride = 3, .pad = 1});  // a row is not seen
  check_conv2d(
      {.n = 1, .h = 3, .w = 2, .c = 1, .o = 1, .kernel = 5, .stride = 1, .pad = 2, .act = k::Act::relu});
  check_conv2d(
      {.n = 2, .h = 3, .w = 5, .c = 8, .o = 7, .kernel = 1, .stride = 1, .pad = 0, .act = k::Act::gelu});
  check_conv2d({.n = 1, .h = 5, .w = 4, .c = 5, .o = 6, .kernel = 1, .stride = 2, .pad = 0});
  check_conv2d({.n = 1, .h = 6, .w = 6, .c = 8, .o = 8, .kernel = 3, .stride = 1, .pad = 1, .skip = 3});
}

TEST_CASE("dense convolutions of more pixels than one chunk of patches") {
  check_conv2d({.n = 2, .h = 43, .w = 44, .c = 8, .o = 4, .kernel = 3, .stride = 1, .pad = 1});
}

TEST_CASE("depthwise convolutions and their gradients") {
  for (const i64 stride : {1, 2}) {
    check_depthwise({.n = 2, .h = 5, .w = 7, .c = 8, .stride = stride});
    check_depthwise({.n = 1, .h = 6, .w = 4, .c = 3, .stride = stride, .bias = false, .act = k::Act::gelu});
    check_depthwise({.n = 1, .h = 1, .w = 1, .c = 4, .stride = stride});
    check_depthwise({.n = 3, .h = 2, .w = 1, .c = 20, .stride = stride, .act = k::Act::relu});
    check_depthwise({.n = 1, .h = 7, .w = 37, .c = 1, .stride = stride});
    check_depthwise({.n = 1, .h = 3, .w = 6, .c = 300, .stride = stride});  // more channels than a block's
    check_depthwise({.n = 2, .h = 9, .w = 40, .c = 64, .stride = stride});  // long strips
    check_depthwise({.n = 1, .h = 5, .w = 5, .c = 8, .stride = stride, .skip = 1});
  }
}

TEST_CASE("gradients of no pixels are zero, and null pointers ask for nothing") {
  const k::Kernels& kernels = simt::backend()->kernels;
  const DeviceArray weight(numbers(36, 1), DType::f32);
  DeviceArray dweight(36, DType::f32);
  kernels.conv2d_backward(
      {nullptr, weight.data(), nullptr, nullptr, dweight.data(), 0, 4, 4, 2, 2, 3, 3, 1, 1, DType::f32});
  CHECK(dweight.values() == Floats(36, 0.0f));
  dweight.set(numbers(36, 2));
  kernels.depthwise_backward(
      {nullptr, weight.data(), nullptr, nullptr, dweight.data(), 0, 4, 4, 4, 1, DType::f32});
  CHECK(dweight.values() == Floats(36, 0.0f));
  kernels.conv2d_backward(
      {nullptr, weight.data(), nullptr, nullptr, nullptr, 1, 4, 4, 2, 2, 3, 3, 1, 1, DType::f32});
  kernels.depthwise_backward({nullptr, weight.data(), nullptr, nullptr, nullptr, 1, 4, 4, 4, 1, DType::f32});
}
