// Kernels over feature maps and images: depthwise convolutions, resizing, preprocessing.
#include "bench/ops.h"

namespace bp::bench {
namespace {

template <class Args>
Args depthwise_sizes(const Sizes& s, DType t) {
  Args a{};
  a.n = s[0], a.h = s[1], a.w = s[2], a.c = s[3], a.stride = s[4], a.dtype = t;
  return a;
}
i64 depthwise_outputs(const Sizes& s) {
  return s[0] * ((s[1] - 1) / s[4] + 1) * ((s[2] - 1) / s[4] + 1) * s[3];
}

Problem depthwise(const Sizes& s, DType t) {
  using A = k::Depthwise;
  const auto a = depthwise_sizes<A>(s, t);
  return make_problem<A>(a,
                         {slot(&A::x, input(t, a.n * a.h * a.w * a.c)), slot(&A::weight, input(t, 9 * a.c)),
                          slot(&A::bias, input(t, a.c)), slot(&A::y, output(t, depthwise_outputs(s)))},
                         &k::Kernels::depthwise, &k::Ladders::depthwise);
}

Problem depthwise_backward(const Sizes& s, DType t) {
  using A = k::DepthwiseBackward;
  const auto a = depthwise_sizes<A>(s, t);
  const i64 x = a.n * a.h * a.w * a.c;
  return make_problem<A>(a,
                         {slot(&A::x, input(t, x)), slot(&A::weight, input(t, 9 * a.c)),
                          slot(&A::dy, input(t, depthwise_outputs(s))), slot(&A::dx, output(t, x)),
                          slot(&A::dweight, output(t, 9 * a.c))},
                         &k::Kernels::depthwise_backward, &k::Ladders::depthwise_backward);
}

Problem resize_bilinear(const Sizes& s, DType t) {
  using A = k::ResizeBilinear;
  A a{};
  a.n = s[0], a.h = s[1], a.w = s[2], a.c = s[3], a.oh = s[4], a.ow = s[5], a.dtype = t;
  return make_problem<A>(
      a, {slot(&A::x, input(t, a.n * a.h * a.w * a.c)), slot(&A::y, output(t, a.n * a.oh * a.ow * a.c))},
      &k::Kernels::resize_bilinear);
}

}  // namespace

std::vector<Op> map_ops() {
  const std::vector<std::string> axes{"n", "h", "w", "c", "stride"};
  const std::vector<Op::Cut> cuts{{0, 1}, {1, 16}, {2, 16}};
  return {
      {"depthwise",
       "3x3 convolution of each channel by itself, with bias",
       axes,
       {},
       {{"sam_t_stage0", {{1, 256, 256, 256, 1}, ""}},
        {"sam_t_merging0", {{1, 256, 256, 128, 2}, ""}},
        {"sam_t_stage2", {{1, 64, 64, 160, 1}, ""}},
        {"student_stage0", {{16, 56, 56, 256, 1}, ""}}},
       cuts,
       depthwise},
      {"depthwise_backward",
       "its gradients for input and weight",
       axes,
       {},
       {{"student_stage0", {{16, 56, 56, 256, 1}, ""}},
        {"student_merging0", {{16, 56, 56, 128, 2}, ""}},
        {"student_stage1", {{16, 28, 28, 128, 1}, ""}}},
       cuts,
       depthwise_backward},
      {"resize_bilinear",
       "half-pixel bilinear resizing",
       {"n", "h", "w", "c", "oh", "ow"},
       {},
       {{"sam_mask", {{1, 256, 256, 1, 1024, 1024}, ""}}, {"student_unify3", {{16, 7, 7, 64, 56, 56}, ""}}},
       {{0, 1}, {4, 16}, {5, 16}},
       resize_bilinear},
  };
}

}  // namespace bp::bench
