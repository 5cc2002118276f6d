// What only training runs: BatchNorm over the batch, the loss, the optimizer.
#include "bench/ops.h"
#include "nets/student/student.h"

namespace bp::bench {
namespace {

Problem batch_norm(const Sizes& s, DType t) {
  using A = k::BatchNorm;
  A a{};
  a.rows = s[0], a.cols = s[1], a.eps = 1e-5f, a.momentum = 0.1f, a.training = true, a.act = k::Act::gelu,
  a.dtype = t;
  const Operand running{Role::inout, a.cols, DType::f32, 0.5f, 1.5f};
  return make_problem<A>(a,
                         {slot(&A::x, input(t, a.rows * a.cols, -2, 3)),
                          slot(&A::w, input(t, a.cols, 0.5f, 1.5f)), slot(&A::b, input(t, a.cols)),
                          slot(&A::y, output(t, a.rows * a.cols)), slot(&A::running_mean, running),
                          slot(&A::running_var, running), slot(&A::stats, output(DType::f32, 2 * a.cols))},
                         &k::Kernels::batch_norm);
}

Problem bce_with_logits(const Sizes& s, DType t) {
  using A = k::BceWithLogits;
  A a{};
  a.n = s[0] * s[1], a.dtype = t;
  return make_problem<A>(
      a,
      {slot(&A::x, input(t, a.n, -4, 4)), slot(&A::targets, input(t, a.n, 0, 1)),
       slot(&A::loss, output(t, 1)), slot(&A::dx, output(t, a.n)), slot(&A::outside, output(DType::f32, 1))},
      &k::Kernels::bce_with_logits);
}

std::vector<i64> tensors(const Sizes& s) {
  if (s.kind != "student") return std::vector<i64>(static_cast<std::size_t>(s[0]), s[1]);
  student::Student net;
  std::vector<i64> n;
  for (const Param& p : net.params())
    if (p.trained && static_cast<i64>(n.size()) < s[0]) n.push_back(std::min(s[1], p.shape.numel()));
  return n;
}

// tensors x largest. Weights, moments and average are f32; where gradients are bf16, the weights' bf16 copies
// are written, too. "student": the sizes of the student's parameters up to these.
Problem adamw_step(const Sizes& s, DType t, bool copies) {
  using Items = std::vector<k::AdamW::Item>;
  constexpr DType f32 = DType::f32;
  const std::vector<i64> sizes = tensors(s);
  const auto count = static_cast<i64>(sizes.size());
  // A schedule far from a real one, so that an error in a step shows beside the weights.
  std::vector<Operand> operands{{Role::in, 4, f32, 0.5f, 1}, {Role::in, count, f32, 0.1f, 1}};
  for (const i64 n : sizes) {
    operands.push_back({Role::inout, n, f32, -1, 1});
    operands.push_back({Role::inout, n, f32, -1e-2f, 1e-2f});
    operands.push_back({Role::inout, n, f32, 1e-4f, 1e-3f});
    operands.push_back({Role::inout, n, f32, -1, 1});
    operands.push_back({Role::in, n, t, -1e-2f, 1e-2f});
    if (copies) operands.push_back(output(t, n));
  }
  k::AdamW a{};
  a.count = count, a.clip = 1, a.beta1 = 0.9f, a.beta2 = 0.999f, a.eps = 1e-8f;
  const auto fill = [sizes, t, copies](k::AdamW& args, const Pointers& p) -> std::shared_ptr<void> {
    const auto items = std::make_shared<Items>();
    std::size_t next = 2;
    const auto floats = [&] { return static_cast<float*>(p[next++]); };
    for (const i64 n : sizes) {
      k::AdamW::Item item{};
      item.w = floats(), item.m = floats(), item.v = floats(), item.average = floats();
      item.grad = p[next++];
      if (copies) item.copy = p[next++];
      item.n = n, item.lr_scale = 1, item.decay = 0.05f, item.dtype = t;
      items->push_back(item);
    }
    args.items = items->data();
    args.schedule = static_cast<const float*>(p[0]), args.squares = static_cast<const float*>(p[1]);
    return items;
  };
  return make_problem<k::AdamW>(a, t, operands, fill, &k::Kernels::adamw, &k::Ladders::adamw);
}
Problem adamw(const Sizes& s, DType t) {
  return adamw_step(s, t, t != DType::f32);
}
Problem adamw_in_f32(const Sizes& s, DType of) {
  return adamw_step(s, DType::f32, of != DType::f32);
}

}  // namespace

std::vector<Op> training_ops() {
  return {
      {"batch_norm",
       "BatchNorm over the batch's statistics, then GELU",
       {"rows", "cols"},
       {},
       {{"student_stage0", {{50176, 256}, ""}}, {"student_stem1", {{200704, 32}, ""}}},
       {{0, 64}},
       batch_norm},
      {"bce_with_logits",
       "binary cross entropy and its gradient",
       {"images", "pixels"},
       {},
       {{"student_loss", {{16, 50176}, ""}}},
       {{0, 1}, {1, 64}},
       bce_with_logits},
      {"adamw",
       "a step of AdamW with its moving average over a list of tensors; kind: student (its parameters)",
       {"tensors", "largest"},
       {"student"},
       {{"student", {{1000, 1 << 30}, "student"}},
        {"one_large", {{1, 1 << 24}, ""}},
        {"tiny_256", {{256, 160}, ""}}},
       {{1, 64}, {0, 1}},
       adamw,
       adamw_in_f32},
  };
}

}  // namespace bp::bench
