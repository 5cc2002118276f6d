// The formulas of work, against numbers worked out by hand.
#include <doctest/doctest.h>

#include "bench/ops.h"
#include "bench/work.h"

using namespace bp;
using namespace bp::bench;

namespace {

Work of(const char* op, std::vector<i64> sizes, DType t = DType::f32, const char* kind = "") {
  return op_named(op).make({std::move(sizes), kind}, t).work;
}

char somewhere;

}  // namespace

TEST_CASE("a product multiplies and adds m n k times and moves its three matrices once") {
  const Work w = of("matmul", {3, 5, 7});
  CHECK(w.ops == 2 * 3 * 5 * 7);
  CHECK(w.bytes == 4 * (3 * 7 + 5 * 7 + 3 * 5));
  CHECK(of("matmul", {3, 5, 7}, DType::bf16).bytes == w.bytes / 2);
  CHECK(of("matmul", {3, 5, 7}, DType::f32, "tn") == w);
  // Bias 1 and GELU 5 per element of C.
  CHECK(of("linear_gelu", {3, 5, 7}).ops == 2 * 3 * 5 * 7 + 6 * 15);
  CHECK(of("linear_gelu", {3, 5, 7}).bytes == w.bytes + 4 * 5);
}

TEST_CASE("batches repeat an operand of stride 0; accumulating reads C") {
  k::Matmul a{};
  a.m = 2, a.n = 3, a.k = 4, a.batch = 5, a.a_batch = 8, a.b_batch = 0, a.c_batch = 6, a.accumulate = true;
  CHECK(work_of(a).ops == 5 * (2 * 2 * 3 * 4 + 6));
  CHECK(work_of(a).bytes == 4 * (5 * 8 + 12 + 2 * 5 * 6));
}

TEST_CASE("convolutions multiply what is inside the image only") {
  // 3x3 on 4x4 with padding: along an axis 2 + 3 + 3 + 2 = 10 taps are inside.
  CHECK(of("conv2d", {1, 4, 4, 2, 3, 3, 1}).ops == 2 * 100 * 2 * 3 + 4 * 4 * 3);
  CHECK(of("conv2d", {1, 4, 4, 2, 3, 3, 1}).bytes == 4 * (16 * 2 + 3 * 9 * 2 + 16 * 3 + 3));
  // Stride 2: outputs at 0 and 2, with 2 and 3 taps.
  CHECK(of("conv2d", {1, 4, 4, 2, 3, 3, 2}).ops == 2 * 25 * 2 * 3 + 4 * 3);
  // Patches have no padding.
  CHECK(of("conv2d", {1, 8, 8, 3, 5, 4, 4}).ops == 2 * (2 * 2 * 5 * 4 * 4 * 3) + 4 * 5);
  CHECK(of("conv2d_backward", {1, 4, 4, 2, 3, 3, 1}).ops == 4 * 100 * 2 * 3);
  CHECK(of("conv2d_backward", {1, 4, 4, 2, 3, 3, 1}).bytes == 4 * (48 + 2 * (32 + 54)));

  CHECK(of("depthwise", {2, 4, 4, 8, 1}).ops == 2 * (2 * 8 * 100) + 2 * 16 * 8);
  CHECK(of("depthwise", {2, 4, 4, 8, 1}).bytes == 4 * (2 * 2 * 16 * 8 + 10 * 8));
  CHECK(of("depthwise", {2, 4, 4, 8, 2}).ops == 2 * (2 * 8 * 25) + 2 * 4 * 8);
  CHECK(of("depthwise_backward", {2, 4, 4, 8, 1}).ops == 4 * (2 * 8 * 100));
  CHECK(of("depthwise_backward", {2, 4, 4, 8, 1}, DType::bf16).bytes == 2 * (256 + 2 * (256 + 72)));
}

TEST_CASE("attention: two products, scale and softmax over all pairs") {
  // 2 heads of 4, 3 queries, 5 keys: 30 logits, each 2 x 2 x 4 for the products, 1 scale, 4 softmax.
  CHECK(of("attention", {2, 4, 3, 5}).ops == 30 * (16 + 5) + 3 * 8);
  CHECK(of("attention", {2, 4, 3, 5}).bytes == 4 * (2 * 3 * 8 + 2 * 5 * 8));
}

TEST_CASE("relative positions add their two products with the tables, windows their padding") {
  // 2 heads of 4 over a grid of 2 x 3: 2 * 36 logits, with two additions of positions more.
  const double logits = 2 * 36;
  CHECK(of("attention_relpos", {2, 4, 2, 3}).ops == logits * (16 + 7) + 2 * 6 * 2 * (2 + 3) * 4 + 6 * 8);
  CHECK(of("attention_relpos", {2, 4, 2, 3}).bytes == 4 * (4 * 6 * 8 + (3 + 5) * 4));

  // Windows of 2 over 3 x 3 tokens: 4 windows of 4 tokens, padded; 2 heads of 4: 2 * 4 * 16 logits.
  const double windows = 2 * 4 * 16;
  CHECK(of("window_attention", {1, 2, 4, 3, 3, 2}).ops == windows * 23 + 4 * 2 * 4 * 2 * (2 + 2) * 4 + 9 * 8);
  CHECK(of("window_attention", {1, 2, 4, 3, 3, 2}).bytes == 4 * (4 * 9 * 8 + 24 + 6 * 4));
  // A table: one addition, and heads x 4 numbers.
  CHECK(of("window_attention", {1, 2, 4, 4, 4, 2}, DType::f32, "bias").ops == windows * 22 + 16 * 8);
  CHECK(of("window_attention", {1, 2, 4, 4, 4, 2}, DType::f32, "bias").bytes == 4 * (4 * 16 * 8 + 8));
}

TEST_CASE("mbconv is its parts, without the bytes of the maps between") {
  const float one = 1;
  const k::Conv2d expand{&one, &one, &one, nullptr, 2, 5, 7, 3, 6, 1, 1, 1, 0, k::Act::gelu, DType::f32},
      project{&one, &one, &one, nullptr, 2, 5, 7, 6, 3, 1, 1, 1, 0, k::Act::none, DType::f32};
  const k::Depthwise spatial{&one, &one, &one, nullptr, 2, 5, 7, 6, 1, k::Act::gelu, DType::f32};
  k::MbConv a{};
  a.n = 2, a.h = 5, a.w = 7, a.c = 3, a.hidden = 6, a.o = 3, a.stride = 1, a.spatial_bias = &one;
  const double map = 2 * 5 * 7 * 6, parts = work_of(expand).ops + work_of(spatial).ops + work_of(project).ops;
  CHECK(work_of(a).ops == parts);
  CHECK(work_of(a).bytes ==
        work_of(expand).bytes + work_of(spatial).bytes + work_of(project).bytes - 4 * 4 * map);
  a.shortcut = true;
  CHECK(work_of(a).ops == parts + 6 * map / 2);
}

TEST_CASE("an MLP is its parts, without the bytes of the rows between") {
  const float one = 1;
  k::Matmul fc1{}, fc2{};
  fc1.m = fc2.m = 10, fc1.n = fc2.k = 12, fc1.k = fc2.n = 3, fc1.batch = fc2.batch = 1;
  fc1.alpha = fc2.alpha = 1, fc1.bias = fc2.bias = &one, fc2.residual = &one, fc1.act = k::Act::gelu;
  const Work parts[] = {of("layer_norm", {10, 3}), work_of(fc1), work_of(fc2)};
  k::Mlp a{};
  a.rows = 10, a.c = 3, a.hidden = 12;
  CHECK(work_of(a).ops == parts[0].ops + parts[1].ops + parts[2].ops);
  // The normalised and the hidden rows go there and back, and x comes once.
  CHECK(work_of(a).bytes == parts[0].bytes + parts[1].bytes + parts[2].bytes - 4 * (2 * 30 + 2 * 120 + 30));
}

TEST_CASE("rows and elements") {
  CHECK(of("layer_norm", {4, 16}) == Work{8 * 64, 4 * (2 * 64 + 32)});
  CHECK(of("layer_norm", {4, 16}, DType::bf16) == Work{8 * 64, 2 * (2 * 64 + 32)});
  CHECK(of("softmax", {4, 16}) == Work{5 * 64, 4 * 2 * 64});
  CHECK(of("l2_normalize", {4, 16}) == Work{3 * 64, 4 * 2 * 64});
  CHECK(of("gelu", {4, 16}) == Work{5 * 64, 4 * 2 * 64});
  CHECK(of("add", {4, 16}) == Work{64, 4 * 3 * 64});
  CHECK(of("resize_bilinear", {1, 2, 2, 3, 4, 5}) == Work{9 * 60, 4 * (12 + 60)});
  CHECK(of("batch_norm", {10, 4}) == Work{13 * 40, 4 * (2 * 40 + 2 * 4) + 8 * 4});
  CHECK(of("bce_with_logits", {2, 8}) == Work{12 * 16, 4 * 3 * 16});
}

TEST_CASE("a repeated operand counts once") {
  k::Binary a{};
  a.rank = 2, a.dims[0] = 6, a.dims[1] = 4, a.as[0] = 4, a.as[1] = 1, a.bs[0] = 0, a.bs[1] = 1;
  CHECK(work_of(a) == Work{24, 4 * (24 + 24 + 4)});
}

TEST_CASE("the optimizer reads and writes weights, moments and average, and reads the gradient") {
  // 17 operations for the step and 3 for the average; w, m, v, average there and back, the gradient once.
  CHECK(of("adamw", {3, 10}) == Work{20 * 30, 4 * 3 + 30 * (8 * 4 + 4)});
  // In bf16 the gradient is half and a copy is written.
  CHECK(of("adamw", {3, 10}, DType::bf16) == Work{20 * 30, 4 * 3 + 30 * (8 * 4 + 2 + 2)});
  k::AdamW::Item item{};
  item.n = 10, item.average = reinterpret_cast<float*>(&somewhere);
  k::AdamW statistics{};
  statistics.items = &item, statistics.count = 1;
  CHECK(work_of(statistics) == Work{30, 4 + 120});
}

TEST_CASE("the student's list of tensors is its parameters") {
  const Op& adamw = op_named("adamw");
  const Problem p = adamw.make(adamw.shapes.front().sizes, DType::f32);
  const double parameters = (p.work.bytes - 4 * static_cast<double>(p.operands[1].n)) / 36;
  CHECK(parameters > 5e6);
  CHECK(parameters < 7e6);
}
