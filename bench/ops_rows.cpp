// Kernels over rows and elementwise ones.
#include "bench/ops.h"

namespace bp::bench {
namespace {

template <class Args>
Args rows(const Sizes& s, DType t) {
  Args a{};
  a.rows = s[0], a.cols = s[1], a.dtype = t;
  return a;
}

Problem layer_norm(const Sizes& s, DType t) {
  using A = k::LayerNorm;
  auto a = rows<A>(s, t);
  a.eps = 1e-6f;
  return make_problem<A>(
      a,
      {slot(&A::x, input(t, a.rows * a.cols, -2, 3)), slot(&A::w, input(t, a.cols, 0.5f, 1.5f)),
       slot(&A::b, input(t, a.cols)), slot(&A::y, output(t, a.rows * a.cols))},
      &k::Kernels::layer_norm, &k::Ladders::layer_norm);
}

Problem softmax(const Sizes& s, DType t) {
  using A = k::Softmax;
  const auto a = rows<A>(s, t);
  return make_problem<A>(
      a, {slot(&A::x, input(t, a.rows * a.cols, -4, 4)), slot(&A::y, output(t, a.rows * a.cols))},
      &k::Kernels::softmax);
}

Problem l2_normalize(const Sizes& s, DType t) {
  using A = k::L2Normalize;
  auto a = rows<A>(s, t);
  a.eps = 1e-12f;
  return make_problem<A>(a, {slot(&A::x, input(t, a.rows * a.cols)), slot(&A::y, output(t, a.rows * a.cols))},
                         &k::Kernels::l2_normalize);
}

Problem gelu(const Sizes& s, DType t) {
  using A = k::Unary;
  A a{};
  a.op = k::UnaryOp::gelu, a.n = s[0] * s[1], a.alpha = 1, a.dtype = t;
  return make_problem<A>(a, {slot(&A::x, input(t, a.n, -3, 3)), slot(&A::y, output(t, a.n))},
                         &k::Kernels::unary);
}

Problem add(const Sizes& s, DType t) {
  using A = k::Binary;
  A a{};
  a.op = k::BinaryOp::add, a.rank = 1, a.dims[0] = s[0] * s[1], a.as[0] = a.bs[0] = 1, a.dtype = t;
  const i64 n = a.dims[0];
  return make_problem<A>(a, {slot(&A::a, input(t, n)), slot(&A::b, input(t, n)), slot(&A::y, output(t, n))},
                         &k::Kernels::binary);
}

}  // namespace

std::vector<Op> row_ops() {
  const std::vector<std::string> axes{"rows", "cols"};
  const std::vector<Op::Cut> cuts{{0, 16}};
  return {
      {"layer_norm",
       "LayerNorm over the last axis",
       axes,
       {},
       {{"sam_b_norm", {{4096, 768}, ""}},
        {"sam_h_norm", {{4096, 1280}, ""}},
        {"sam_t_stage1", {{16384, 128}, ""}},
        {"student_stage1", {{12544, 128}, ""}},
        {"decoder_norm", {{4096, 256}, ""}},
        {"long_32k_rows", {{32768, 1024}, ""}}},
       cuts,
       layer_norm},
      {"softmax",
       "softmax over the last axis",
       axes,
       {},
       {{"student_memory", {{50176, 64}, ""}}},
       cuts,
       softmax},
      {"l2_normalize",
       "rows of length 1",
       axes,
       {},
       {{"student_memory", {{50176, 64}, ""}}},
       cuts,
       l2_normalize},
      {"gelu", "exact GELU", axes, {}, {{"sam_b_fc1", {{4096, 3072}, ""}}}, cuts, gelu},
      {"add", "a sum without broadcasting", axes, {}, {{"sam_t_stage0", {{65536, 64}, ""}}}, cuts, add},
  };
}

}  // namespace bp::bench
