// The CPU's ladders of LayerNorm and AdamW.
#include "tests/ladders_cpu_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

void check_layer_norm(i64 rows, i64 cols, i64 offset = 0, bool stats = true, float mean = 0,
                      double tolerance = 5e-6) {
  CAPTURE(rows);
  CAPTURE(cols);
  CAPTURE(offset);
  LadderCase<k::LayerNorm> test;
  test.operands = {shifted(input(numbers(rows * cols, 1, mean - 1, mean + 1)), offset),
                   shifted(input(numbers(cols, 2)), offset), shifted(input(numbers(cols, 3)), offset),
                   shifted(output(rows * cols), offset), stats ? output_f32(2 * rows) : null()};
  test.arguments = [=](DType dtype, const Pointers& x) {
    return k::LayerNorm{x[0], x[1], x[2], x[3], static_cast<float*>(x[4]), rows, cols, 1e-5f, dtype};
  };
  test.tolerance = tolerance;
  check_ladder(cpu::ladders().layer_norm, &k::Kernels::layer_norm, test,
               [](const std::string& name, DType) { return machine_runs(name, "4"); });
}

struct Parameters {
  i64 n;
  float lr_scale = 1, decay = 0.1f;
  bool average = true, copy = true, grad = true;
};

// AdamW over a list; the operands of tensor i are 6 i to 6 i + 5, then schedule and squares.
LadderCase<k::AdamW> adamw_case(const std::vector<Parameters>& list, double clip, const Floats& squares,
                                i64 offset = 0) {
  LadderCase<k::AdamW> test;
  auto& operands = test.operands;
  const auto in_place = [&](i64 n, float low, float high) {
    Operand x = output_f32(n);
    x.values = numbers(n, static_cast<unsigned>(operands.size()), low, high);
    return shifted(x, offset);
  };
  for (const Parameters& t : list) {
    operands.push_back(in_place(t.n, -1, 1));
    operands.push_back(in_place(t.n, -0.1f, 0.1f));
    operands.push_back(in_place(t.n, 0, 0.1f));
    operands.push_back(t.average ? in_place(t.n, -1, 1) : null());
    Operand copy = output(t.n);
    copy.values = numbers(t.n, 77);
    operands.push_back(t.copy ? shifted(copy, offset) : null());
    operands.push_back(t.grad ? shifted(input(numbers(t.n, 5)), offset) : null());
  }
  operands.push_back(input_f32({0.05f, 1.7f, 1.3f, 0.2f}));
  operands.push_back(input_f32(squares));
  // The list is read during the call only, so one per call will do.
  auto items = std::make_shared<std::vector<k::AdamW::Item>>();
  test.arguments = [=](DType dtype, const Pointers& x) {
    items->clear();
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto f32 = [&](std::size_t part) { return static_cast<float*>(x[6 * i + part]); };
      items->push_back({f32(0), f32(1), f32(2), f32(3), x[6 * i + 4], x[6 * i + 5], list[i].n,
                        list[i].lr_scale, list[i].decay, dtype});
    }
    return k::AdamW{items->data(),
                    static_cast<i64>(list.size()),
                    static_cast<const float*>(x[6 * list.size()]),
                    static_cast<const float*>(x[6 * list.size() + 1]),
                    clip,
                    0.9f,
                    0.98f,
                    1e-6f};
  };
  return test;
}

void check_adamw(const LadderCase<k::AdamW>& test) {
  check_ladder(cpu::ladders().adamw, &k::Kernels::adamw, test,
               [](const std::string& name, DType) { return machine_runs(name, "4"); });
}

}  // namespace

TEST_CASE("the memory-bound ladders have all their rungs") {
#if defined(__x86_64__)
  CHECK(cpu::ladders().layer_norm.count == 6);
  CHECK(cpu::ladders().adamw.count == 5);
#else
  CHECK(cpu::ladders().layer_norm.count == 2);
  CHECK(cpu::ladders().adamw.count == 2);
#endif
}

TEST_CASE("LayerNorm of any width") {
  for (const i64 cols : {1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 97, 131}) check_layer_norm(3, cols);
}

TEST_CASE("LayerNorm of one row, of more rows than a task, of rows that no vector is aligned with") {
  check_layer_norm(1, 768);
  check_layer_norm(101, 768);
  check_layer_norm(7000, 5);
  for (const i64 offset : {1, 3, 8, 15}) check_layer_norm(5, 83, offset);
  check_layer_norm(9, 48, 0, false);
}

TEST_CASE("LayerNorm keeps its digits where the mean is large") {
  check_layer_norm(4, 96, 0, true, 100, 5e-5);  // squares in one walk would be wrong by 1e-3
}

TEST_CASE("AdamW over tensors of any length") {
  for (const i64 n : {1, 7, 8, 15, 16, 17, 33, 100}) {
    CAPTURE(n);
    check_adamw(adamw_case({{n}}, 0, {1}));
    check_adamw(adamw_case({{n}}, 0, {1}, 3));
  }
}

TEST_CASE("AdamW over a list: pieces, missing parts, rates of their own") {
  std::vector<Parameters> list{{8192}, {3}, {20001}, {5}, {64}, {1}, {0}, {77}, {9}};
  list[1].average = false;
  list[2].copy = false;
  list[3].grad = false;
  list[4].lr_scale = 0.1f, list[4].decay = 0;
  list[5].average = list[5].copy = false;
  list[7].grad = list[7].average = false;
  check_adamw(adamw_case(list, 0, Floats(9, 1)));
}

TEST_CASE("AdamW clips by the norm of all gradients, and leaves all alone where one is not finite") {
  check_adamw(adamw_case({{40}, {17}}, 0.5, {9, 16}));
  check_adamw(adamw_case({{40}, {17}}, 50, {9, 16}));
  check_adamw(adamw_case({{40}, {17}}, 0.5, {9, std::nanf("")}));
  check_adamw(adamw_case({{40}, {17}}, 0, {INFINITY, 1}));
}
