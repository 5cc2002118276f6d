// The CPU's ladder of the matrix product.
#include "kernels/ladders/cpu/tiles.h"
#include "tests/ladders_cpu_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Product {
  i64 m, n, k;
  bool ta = false, tb = false;
  i64 batch = 1;
  bool repeat_a = false, repeat_b = false;
  i64 more = 0;    // elements of each row that do not belong to the matrix
  i64 offset = 0;  // elements by which A, B and C miss alignment
  float alpha = 1;
  bool bias = false, residual = false, accumulate = false;
  k::Act act = k::Act::none;
};

LadderCase<k::Matmul> case_of(const Product& p) {
  k::Matmul a{};
  a.m = p.m, a.n = p.n, a.k = p.k, a.ta = p.ta, a.tb = p.tb;
  a.lda = (p.ta ? p.m : p.k) + p.more, a.ldb = (p.tb ? p.k : p.n) + p.more, a.ldc = p.n + p.more;
  const i64 a_size = (p.ta ? p.k : p.m) * a.lda, b_size = (p.tb ? p.n : p.k) * a.ldb, c_size = p.m * a.ldc;
  a.batch = p.batch, a.c_batch = c_size;
  a.a_batch = p.repeat_a ? 0 : a_size, a.b_batch = p.repeat_b ? 0 : b_size;
  a.alpha = p.alpha, a.act = p.act, a.accumulate = p.accumulate;
  const i64 all = p.batch * c_size - p.more;  // C ends with its last element
  Operand c = output(all);
  c.values = numbers(all, 3);  // what lies between the rows stays
  LadderCase<k::Matmul> test;
  test.operands = {shifted(input(numbers(a_size * p.batch - p.more, 1)), p.offset),
                   shifted(input(numbers(b_size * p.batch - p.more, 2)), p.offset), shifted(c, p.offset),
                   p.bias ? input(numbers(p.n, 4)) : null(), p.residual ? input(numbers(all, 5)) : null()};
  test.arguments = [a](DType dtype, const Pointers& x) {
    k::Matmul args = a;
    args.a = x[0], args.b = x[1], args.c = x[2], args.bias = x[3], args.residual = x[4];
    args.dtype = dtype;
    return args;
  };
  test.tolerance = 5e-6;
  return test;
}

bool should_take(const std::string& name, DType dtype) {
  const bool bf16_only = name == "6_bf16_dot" || name == "7_amx";
  return machine_runs(name, "") && (dtype == DType::bf16 || !bf16_only);
}

void check(const Product& p) {
  CAPTURE(p.m);
  CAPTURE(p.n);
  CAPTURE(p.k);
  check_ladder(cpu::ladders().matmul, &k::Kernels::matmul, case_of(p), should_take);
}

}  // namespace

TEST_CASE("the ladder has all its rungs") {
  CHECK(cpu::ladders().matmul.count >= 3);
#if defined(__x86_64__)
  CHECK(cpu::ladders().matmul.count == 7);
#endif
}

TEST_CASE("products of sizes that fit no tile") {
  for (const i64 m : {1, 2, 13, 33, 97})
    for (const i64 n : {1, 15, 17, 31, 67})
      for (const i64 k : {1, 2, 31, 33}) check({m, n, k, false, true});
}

TEST_CASE("products of more than one block in each direction") {
  check({101, 397, 263, false, true});
  check({197, 67, 521, false, false});
  check({64, 32, 256, false, true});
}

TEST_CASE("products of nothing are the epilogue alone") {
  check({3, 5, 0, false, true});
  Product p{3, 5, 0, false, true};
  p.bias = true;
  check(p);
}

TEST_CASE("all transpositions, odd strides, unaligned operands, batches") {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      CAPTURE(ta);
      CAPTURE(tb);
      Product p{19, 35, 41, ta, tb};
      p.more = 3, p.offset = 1, p.batch = 3;
      check(p);
      p.repeat_a = true;
      check(p);
      p.repeat_a = false, p.repeat_b = true;
      check(p);
    }
}

TEST_CASE("the epilogue") {
  Product p{17, 37, 29, false, true};
  p.alpha = 0.25f, p.batch = 2;
  p.accumulate = true;
  check(p);
  p.accumulate = false, p.bias = p.residual = true;
  for (const k::Act act : {k::Act::none, k::Act::relu, k::Act::gelu}) {
    p.act = act;
    check(p);
  }
}

#if defined(__x86_64__)
TEST_CASE("AMX is taken with its stand-in or on a machine that has it, and configured around its use") {
  const k::Rung<k::Matmul>& amx = cpu::ladders().matmul.rungs[6];
  k::Matmul p{};
  p.dtype = DType::bf16;
  CHECK(amx.takes(p) == cpu::has_amx());
  const std::vector<std::string> flags = cpu::features();
  if (std::find(flags.begin(), flags.end(), "amx_bf16") == flags.end()) CHECK(!amx.takes(p));
  const AmxStandIn on;
  CHECK(amx.takes(p));
  p.dtype = DType::f32;
  CHECK(!amx.takes(p));
  // Outside of begin() and end() the processor would stop the program.
  const std::vector<bf16> zeros(32 * cpu::ladder::kStripStride);
  Floats c(32 * 32);
  CHECK_THROWS(cpu::ladder::AmxTile::run(zeros.data(), zeros.data(), 32, c.data(), 32, false));
  cpu::ladder::AmxTile::begin();
  CHECK_NOTHROW(cpu::ladder::AmxTile::run(zeros.data(), zeros.data(), 32, c.data(), 32, false));
  cpu::ladder::AmxTile::end();
  CHECK_THROWS(cpu::ladder::AmxTile::run(zeros.data(), zeros.data(), 32, c.data(), 32, false));
}
#endif
