// Products of matrices and dense convolutions.
#include "bench/ops.h"

namespace bp::bench {
namespace {

// m x n x k. As in a linear layer B is stored [n,k]; "nn": [k,n]; "tn": A is [k,m], B [k,n], as in a weight's
// gradient.
Problem matmul(const Sizes& s, DType t) {
  k::Matmul a{};
  a.m = s[0], a.n = s[1], a.k = s[2];
  a.ta = s.kind == "tn", a.tb = s.kind.empty();
  a.lda = a.ta ? a.m : a.k, a.ldb = a.tb ? a.k : a.n, a.ldc = a.n;
  a.batch = 1, a.alpha = 1, a.dtype = t;
  return make_problem<k::Matmul>(
      a,
      {slot(&k::Matmul::a, input(t, a.m * a.k)), slot(&k::Matmul::b, input(t, a.n * a.k)),
       slot(&k::Matmul::c, output(t, a.m * a.n))},
      &k::Kernels::matmul, &k::Ladders::matmul);
}

// The same with what a layer fuses into it: bias and GELU.
Problem linear_gelu(const Sizes& s, DType t) {
  k::Matmul a{};
  a.m = s[0], a.n = s[1], a.k = s[2];
  a.tb = true, a.lda = a.k, a.ldb = a.k, a.ldc = a.n;
  a.batch = 1, a.alpha = 1, a.act = k::Act::gelu, a.dtype = t;
  return make_problem<k::Matmul>(
      a,
      {slot(&k::Matmul::a, input(t, a.m * a.k)), slot(&k::Matmul::b, input(t, a.n * a.k, -0.1f, 0.1f)),
       slot(&k::Matmul::bias, input(t, a.n)), slot(&k::Matmul::c, output(t, a.m * a.n))},
      &k::Kernels::matmul);
}

template <class Args>
Args conv_sizes(const Sizes& s, DType t) {
  Args a{};
  a.n = s[0], a.h = s[1], a.w = s[2], a.c = s[3], a.o = s[4], a.kh = a.kw = s[5], a.stride = s[6];
  a.pad = a.kh / 2 * (a.stride < a.kh);  // patches that do not overlap have none
  a.dtype = t;
  return a;
}
i64 conv_outputs(const Sizes& s) {
  const auto a = conv_sizes<k::Conv2d>(s, DType::f32);
  return a.n * ((a.h + 2 * a.pad - a.kh) / a.stride + 1) * ((a.w + 2 * a.pad - a.kw) / a.stride + 1) * a.o;
}

Problem conv2d(const Sizes& s, DType t) {
  using A = k::Conv2d;
  const auto a = conv_sizes<A>(s, t);
  return make_problem<A>(
      a,
      {slot(&A::x, input(t, a.n * a.h * a.w * a.c)), slot(&A::weight, input(t, a.o * a.kh * a.kw * a.c)),
       slot(&A::bias, input(t, a.o)), slot(&A::y, output(t, conv_outputs(s)))},
      &k::Kernels::conv2d);
}
Problem conv2d_backward(const Sizes& s, DType t) {
  using A = k::Conv2dBackward;
  const auto a = conv_sizes<A>(s, t);
  const i64 x = a.n * a.h * a.w * a.c, weight = a.o * a.kh * a.kw * a.c;
  return make_problem<A>(
      a,
      {slot(&A::x, input(t, x)), slot(&A::weight, input(t, weight)), slot(&A::dy, input(t, conv_outputs(s))),
       slot(&A::dx, output(t, x)), slot(&A::dweight, output(t, weight))},
      &k::Kernels::conv2d_backward);
}

}  // namespace

std::vector<Op> product_ops() {
  const std::vector<std::string> mnk{"m", "n", "k"}, conv{"n", "h", "w", "c", "o", "kernel", "stride"};
  const std::vector<Op::Cut> rows_first{{0, 128}, {1, 128}, {2, 64}},
      images_first{{0, 1}, {4, 16}, {1, 16}, {2, 16}};
  return {
      {"matmul",
       "C = A B, with B stored as a layer's weight [n,k]; kinds: nn (B [k,n]), tn (A [k,m], B [k,n])",
       mnk,
       {"nn", "tn"},
       {{"sam_b_qkv", {{4096, 2304, 768}, ""}},
        {"sam_b_proj", {{4096, 768, 768}, ""}},
        {"sam_b_fc1", {{4096, 3072, 768}, ""}},
        {"sam_b_fc2", {{4096, 768, 3072}, ""}},
        {"sam_h_qkv", {{4096, 3840, 1280}, ""}},
        {"sam_h_fc1", {{4096, 5120, 1280}, ""}},
        {"sam_t_expand", {{65536, 256, 64}, ""}},
        {"student_stage2_fc1", {{3136, 640, 160}, ""}},
        {"student_stage2_fc1_dw", {{640, 160, 3136}, "tn"}},
        {"decoder_k", {{4096, 128, 256}, ""}},
        {"square_4096", {{4096, 4096, 4096}, ""}}},
       rows_first,
       matmul},
      {"linear_gelu",
       "gelu(A B + bias), one kernel in inference",
       mnk,
       {},
       {{"sam_b_fc1", {{4096, 3072, 768}, ""}}, {"sam_t_expand", {{65536, 256, 64}, ""}}},
       rows_first,
       linear_gelu},
      {"conv2d",
       "dense convolution with bias",
       conv,
       {},
       {{"sam_b_patches", {{1, 1024, 1024, 3, 768, 16, 16}, ""}},
        {"sam_neck", {{1, 64, 64, 256, 256, 3, 1}, ""}},
        {"sam_t_stem1", {{1, 1024, 1024, 3, 32, 3, 2}, ""}},
        {"student_unify1", {{16, 28, 28, 128, 64, 3, 1}, ""}}},
       images_first,
       conv2d},
      {"conv2d_backward",
       "its gradients for input and weight",
       conv,
       {},
       {{"student_stem2", {{16, 112, 112, 32, 64, 3, 2}, ""}},
        {"student_unify1", {{16, 28, 28, 128, 64, 3, 1}, ""}}},
       images_first,
       conv2d_backward},
  };
}

}  // namespace bp::bench
