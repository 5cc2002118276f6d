// The CPU's ladders of attention with relative positions and of window attention.
#include "tests/ladders_cpu_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

enum class Positions { none, relative, table };

struct Grid {
  i64 batch, h, w, heads, d, win_h, win_w;
  Positions positions = Positions::relative;
  bool per_head = false, lse = true;
  i64 offset = 0;  // elements by which all operands miss alignment
};

LadderCase<k::WindowAttention> case_of(const Grid& g) {
  const i64 c = g.heads * g.d, down = (g.h + g.win_h - 1) / g.win_h, across = (g.w + g.win_w - 1) / g.win_w;
  const bool sticks_out = g.h % g.win_h != 0 || g.w % g.win_w != 0;
  const auto optional = [&](bool there, i64 n, unsigned seed) {
    return there ? shifted(input(numbers(n, seed)), g.offset) : null();
  };
  const bool relative = g.positions == Positions::relative;
  LadderCase<k::WindowAttention> test;
  test.operands = {shifted(input(numbers(g.batch * g.h * g.w * 3 * c, 1, -1.5f, 1.5f)), g.offset),
                   optional(sticks_out, 3 * c, 2),
                   optional(relative, (2 * g.win_h - 1) * g.d, 3),
                   optional(relative, (2 * g.win_w - 1) * g.d, 4),
                   optional(g.positions == Positions::table, g.heads * g.win_h * g.win_w, 5),
                   shifted(output(g.batch * g.h * g.w * c), g.offset),
                   g.lse ? output_f32(g.batch * down * across * g.heads * g.win_h * g.win_w) : null()};
  test.arguments = [g](DType dtype, const Pointers& x) {
    return k::WindowAttention{.qkv = x[0],
                              .pad = x[1],
                              .rel_h = x[2],
                              .rel_w = x[3],
                              .bias = x[4],
                              .y = x[5],
                              .lse = static_cast<float*>(x[6]),
                              .batch = g.batch,
                              .h = g.h,
                              .w = g.w,
                              .heads = g.heads,
                              .d = g.d,
                              .win_h = g.win_h,
                              .win_w = g.win_w,
                              .per_head = g.per_head,
                              .scale = 0.3f,
                              .dtype = dtype};
  };
  // Keys in the padding are equal: the roundings of up to 200 equal terms go one way, up to 1.2e-5 on each
  // side.
  test.tolerance = 2e-5;
  test.rounding_tolerance = 4e-3;  // P in bf16
  return test;
}

bool bf16_only(const std::string& name) {
  return name.find("bf16") != std::string::npos || name.find("amx") != std::string::npos;
}

void check_grid(const Grid& g, bool taken = true) {
  CAPTURE(g.h);
  CAPTURE(g.w);
  CAPTURE(g.d);
  check_ladder(cpu::ladders().attention_relpos, &k::Kernels::window_attention, case_of(g),
               [&](const std::string& name, DType dtype) {
                 return taken && machine_runs(name, "6") && (dtype == DType::bf16 || !bf16_only(name));
               });
}

void check_windows(const Grid& g) {
  CAPTURE(g.h);
  CAPTURE(g.w);
  CAPTURE(g.d);
  check_ladder(cpu::ladders().window_attention, &k::Kernels::window_attention, case_of(g),
               [&](const std::string& name, DType dtype) {
                 return machine_runs(name, "5") && (dtype == DType::bf16 || !bf16_only(name));
               });
}

}  // namespace

TEST_CASE("the ladders have all their rungs") {
#if defined(__x86_64__)
  CHECK(cpu::ladders().attention_relpos.count == 8);
  CHECK(cpu::ladders().window_attention.count == 7);
#else
  CHECK(cpu::ladders().attention_relpos.count == 3);
  CHECK(cpu::ladders().window_attention.count == 3);
#endif
}

TEST_CASE("whole grids with relative positions") {
  check_grid({1, 1, 1, 1, 1, 1, 1});
  check_grid({1, 1, 7, 2, 5, 1, 7});
  check_grid({2, 5, 3, 2, 17, 5, 3});
  check_grid({1, 13, 11, 3, 64, 13, 11});
  check_grid({1, 16, 16, 1, 80, 16, 16});  // one block of keys, to its last
}

TEST_CASE("whole grids of more than one block of keys") {
  check_grid({1, 17, 19, 2, 32, 17, 19});
  check_grid({1, 3, 191, 1, 33, 3, 191});
  check_grid({1, 37, 14, 1, 64, 37, 14});
}

TEST_CASE("grids: unaligned, without log-sums, heads first") {
  Grid g{2, 9, 7, 2, 19, 9, 7};
  g.offset = 1, g.lse = false;
  check_grid(g);
  g.per_head = true;
  check_grid(g);
}

TEST_CASE("the relative ladder leaves windows, tables and wide heads alone") {
  check_grid({1, 8, 8, 1, 16, 4, 4}, false);
  check_grid({1, 8, 8, 1, 16, 8, 8, Positions::table}, false);
  check_grid({1, 8, 8, 1, 16, 8, 8, Positions::none}, false);
  float x{};
  const k::WindowAttention wide{.qkv = &x,
                                .pad = nullptr,
                                .rel_h = &x,
                                .rel_w = &x,
                                .bias = nullptr,
                                .y = &x,
                                .lse = nullptr,
                                .batch = 1,
                                .h = 200,
                                .w = 100,
                                .heads = 1,
                                .d = 257,
                                .win_h = 200,
                                .win_w = 100,
                                .per_head = false,
                                .scale = 1,
                                .dtype = DType::f32};
  for (const auto& rung : cpu::ladders().attention_relpos) {
    const std::string name = rung.name;
    CHECK(rung.takes(wide) == (name == "2_online" || name == "3_threads"));
  }
}

TEST_CASE("windows that fit, with each kind of position") {
  for (const Positions positions : {Positions::none, Positions::relative, Positions::table}) {
    check_windows({1, 4, 6, 2, 16, 2, 3, positions});
    check_windows({2, 7, 7, 2, 32, 7, 7, positions, true});
    check_windows({1, 28, 14, 1, 64, 14, 14, positions});
  }
}

TEST_CASE("windows that stick out") {
  for (const Positions positions : {Positions::none, Positions::relative, Positions::table}) {
    check_windows({2, 5, 7, 2, 5, 3, 4, positions, true});
    check_windows({1, 15, 16, 1, 80, 14, 14, positions});
    check_windows({1, 2, 2, 1, 8, 5, 3, positions});
  }
}

TEST_CASE("windows of one token, of more than a block of keys, unaligned, without log-sums") {
  check_windows({1, 3, 3, 2, 4, 1, 1});
  check_windows({1, 17, 30, 1, 24, 17, 16, Positions::table});
  check_windows({1, 20, 15, 1, 24, 19, 15});
  Grid g{1, 9, 8, 2, 19, 4, 4, Positions::table};
  g.offset = 3, g.lse = false;
  check_windows(g);
}

#if defined(__x86_64__)
TEST_CASE("attention's AMX rungs ask for AMX") {
  const auto relpos = case_of({1, 3, 3, 1, 8, 3, 3});
  float x{};
  const k::WindowAttention p = relpos.arguments(DType::bf16, Pointers(7, &x));
  const auto& ladders = cpu::ladders();
  k::WindowAttention grid = p;
  grid.bias = nullptr;
  CHECK(ladders.attention_relpos.rungs[7].takes(grid) == (cpu::has_amx() && cpu::has_avx512()));
  CHECK(ladders.window_attention.rungs[6].takes(p) == (cpu::has_amx() && cpu::has_avx512()));
}
#endif
