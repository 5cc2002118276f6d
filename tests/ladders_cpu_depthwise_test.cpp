// The CPU's ladders of the depthwise convolution and its gradients.
#include "tests/ladders_cpu_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Map {
  i64 n, h, w, c, stride;
  k::Act act = k::Act::none;
  bool bias = true;
  i64 offset = 0;
  bool dx = true, dweight = true;
  i64 oh() const { return (h - 1) / stride + 1; }
  i64 ow() const { return (w - 1) / stride + 1; }
};

bool should_take(const std::string& name, DType) {
  return machine_runs(name, "4");
}

void check_forward(const Map& m) {
  LadderCase<k::Depthwise> test;
  test.operands = {shifted(input(numbers(m.n * m.h * m.w * m.c, 1)), m.offset),
                   shifted(input(numbers(9 * m.c, 2)), m.offset),
                   m.bias ? shifted(input(numbers(m.c, 3)), m.offset) : null(),
                   shifted(output(m.n * m.oh() * m.ow() * m.c), m.offset)};
  test.arguments = [=](DType dtype, const Pointers& x) {
    return k::Depthwise{x[0], x[1], x[2], x[3], m.n, m.h, m.w, m.c, m.stride, m.act, dtype};
  };
  check_ladder(cpu::ladders().depthwise, &k::Kernels::depthwise, test, should_take);
}

void check_backward(const Map& m) {
  LadderCase<k::DepthwiseBackward> test;
  test.operands = {shifted(input(numbers(m.n * m.h * m.w * m.c, 1)), m.offset),
                   shifted(input(numbers(9 * m.c, 2)), m.offset),
                   shifted(input(numbers(m.n * m.oh() * m.ow() * m.c, 3)), m.offset),
                   m.dx ? shifted(output(m.n * m.h * m.w * m.c), m.offset) : null(),
                   m.dweight ? shifted(output(9 * m.c), m.offset) : null()};
  test.arguments = [=](DType dtype, const Pointers& x) {
    return k::DepthwiseBackward{x[0], x[1], x[2], x[3], x[4], m.n, m.h, m.w, m.c, m.stride, dtype};
  };
  test.tolerance = 1e-5;
  check_ladder(cpu::ladders().depthwise_backward, &k::Kernels::depthwise_backward, test, should_take);
}

void check(const Map& m) {
  CAPTURE(m.h);
  CAPTURE(m.w);
  CAPTURE(m.c);
  CAPTURE(m.stride);
  check_forward(m);
  check_backward(m);
}

}  // namespace

TEST_CASE("the depthwise ladders have all their rungs") {
#if defined(__x86_64__)
  CHECK(cpu::ladders().depthwise.count == 5);
  CHECK(cpu::ladders().depthwise_backward.count == 5);
#else
  CHECK(cpu::ladders().depthwise.count == 2);
  CHECK(cpu::ladders().depthwise_backward.count == 2);
#endif
}

TEST_CASE("maps of every small size, both strides") {
  for (const i64 stride : {1, 2})
    for (i64 h = 1; h <= 5; ++h)
      for (i64 w = 1; w <= 5; ++w) check({2, h, w, 3, stride});
}

TEST_CASE("any number of channels") {
  for (const i64 stride : {1, 2})
    for (const i64 c : {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 67}) check({1, 4, 6, c, stride});
}

TEST_CASE("maps of several tasks and chunks") {
  for (const i64 stride : {1, 2}) {
    check({3, 23, 29, 37, stride});
    check({2, 33, 14, 64, stride});
  }
}

TEST_CASE("activations, no bias, unaligned operands, one gradient alone") {
  for (const i64 stride : {1, 2}) {
    Map m{2, 6, 7, 19, stride};
    m.offset = 3;
    for (const k::Act act : {k::Act::none, k::Act::relu, k::Act::gelu}) {
      m.act = act;
      check_forward(m);
      m.bias = !m.bias;
    }
    m.dx = false;
    check_backward(m);
    m.dx = true, m.dweight = false;
    check_backward(m);
  }
}
