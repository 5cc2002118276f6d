// The matrix product's kernels on the emulator against the CPU's.
#include "tests/simt_arrays.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Product {
  i64 m, n, k;
  bool ta = false, tb = false;
  i64 batch = 1;
  bool repeat_a = false, repeat_b = false;
  i64 more = 0;  // elements of each row of A, B and C that do not belong to it
  i64 skip = 0;  // elements before A, B and C
  float alpha = 1;
  bool bias = false, residual = false, accumulate = false;
  k::Act act = k::Act::none;
};

struct Operands {
  Floats a, b, c, bias, residual;
};

i64 rows(bool transposed, i64 outer, i64 inner) {
  return transposed ? inner : outer;
}

// Arguments without pointers.
k::Matmul arguments(const Product& p, DType dtype) {
  k::Matmul a{};
  a.m = p.m;
  a.n = p.n;
  a.k = p.k;
  a.ta = p.ta;
  a.tb = p.tb;
  a.lda = rows(!p.ta, p.m, p.k) + p.more;
  a.ldb = rows(!p.tb, p.k, p.n) + p.more;
  a.ldc = p.n + p.more;
  a.batch = p.batch;
  a.a_batch = p.repeat_a ? 0 : rows(p.ta, p.m, p.k) * a.lda;
  a.b_batch = p.repeat_b ? 0 : rows(p.tb, p.k, p.n) * a.ldb;
  a.c_batch = p.m * a.ldc;
  a.alpha = p.alpha;
  a.act = p.act;
  a.accumulate = p.accumulate;
  a.dtype = dtype;
  return a;
}

Operands operands(const Product& p, DType dtype) {
  const k::Matmul a = arguments(p, dtype);
  const i64 sa = rows(p.ta, p.m, p.k) * a.lda * (p.repeat_a ? 1 : p.batch);
  const i64 sb = rows(p.tb, p.k, p.n) * a.ldb * (p.repeat_b ? 1 : p.batch), sc = p.batch * a.c_batch;
  return {rounded(numbers(sa, 1), dtype), rounded(numbers(sb, 2), dtype), rounded(numbers(sc, 3), dtype),
          rounded(numbers(p.n, 4), dtype), rounded(numbers(sc, 5), dtype)};
}

Floats reference(const Product& p, Operands x) {
  k::Matmul a = arguments(p, DType::f32);
  a.a = x.a.data();
  a.b = x.b.data();
  a.c = x.c.data();
  a.bias = p.bias ? x.bias.data() : nullptr;
  a.residual = p.residual ? x.residual.data() : nullptr;
  cpu::kernels().matmul(a);
  return x.c;
}

void check(const Product& p) {
  CAPTURE(p.m);
  CAPTURE(p.n);
  CAPTURE(p.k);
  CAPTURE(p.ta);
  CAPTURE(p.tb);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    const Operands x = operands(p, dtype);
    const Floats wanted = reference(p, x);
    const DeviceArray a(x.a, dtype, p.skip), b(x.b, dtype, p.skip), bias(x.bias, dtype, p.skip),
        residual(x.residual, dtype, p.skip);
    DeviceArray c(x.c, dtype, p.skip);
    k::Matmul args = arguments(p, dtype);
    args.a = a.data();
    args.b = b.data();
    args.c = c.data();
    args.bias = p.bias ? bias.data() : nullptr;
    args.residual = p.residual ? residual.data() : nullptr;
    in_orders([&] {
      c.set(x.c);
      simt::backend()->kernels.matmul(args);
      CHECK(distance(c.values(), wanted, dtype) < 1);
    });
  }
}

template <class F>
void transposed(Product p, const F& check_it) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      p.ta = ta;
      p.tb = tb;
      check_it(p);
    }
}

}  // namespace

TEST_CASE("products of every size and order of operands") {
  const Product sizes[] = {{1, 1, 1},    {1, 67, 13}, {64, 64, 32}, {65, 7, 40},
                           {40, 72, 80}, {8, 8, 72},  {3, 130, 101}};
  for (const Product& p : sizes) transposed(p, check);
}

TEST_CASE("products of many tiles, in large ones") {
  transposed({264, 136, 72}, check);  // packed rows, also where C is split over warps that have no part in it
  transposed({259, 131, 35}, check);
  check({.m = 1100, .n = 8, .k = 8});  // more rows of tiles than go together
}

TEST_CASE("long sums are split over blocks") {
  transposed({24, 40, 1100}, check);
  transposed({7, 9, 1111, false, false, 2}, check);
  check({.m = 72, .n = 72, .k = 2048, .ta = true});
  check({.m = 24,
         .n = 7,
         .k = 1100,
         .more = 1,
         .alpha = 0.5f,
         .bias = true,
         .residual = true,
         .act = k::Act::gelu});
  check({.m = 24, .n = 40, .k = 1100, .ta = true, .alpha = 2, .accumulate = true});
}

TEST_CASE("epilogues") {
  for (const i64 n : {48, 19})
    for (const i64 more : {0, 3, 8})
      for (const k::Act act : {k::Act::none, k::Act::gelu, k::Act::relu}) {
        check({.m = 21, .n = n, .k = 24, .more = more, .alpha = 0.25f, .bias = true, .act = act});
        check({.m = 21, .n = n, .k = 24, .more = more, .bias = true, .residual = true, .act = act});
      }
  check({.m = 21, .n = 19, .k = 24, .residual = true});
  check({.m = 21, .n = 40, .k = 24, .alpha = -1, .accumulate = true});
  check({.m = 21, .n = 5, .k = 24, .more = 2, .accumulate = true});
  check({.m = 6, .n = 10, .k = 0, .bias = true, .act = k::Act::gelu});  // an empty sum is zero
}

TEST_CASE("batches, repeated operands, and addresses that are not aligned") {
  transposed({17, 24, 40, false, false, 5}, check);
  check({.m = 17, .n = 24, .k = 40, .batch = 3, .repeat_a = true});
  check(
      {.m = 17, .n = 24, .k = 40, .tb = true, .batch = 3, .repeat_b = true, .bias = true, .residual = true});
  for (const i64 skip : {1, 2, 4}) transposed({24, 40, 48, false, false, 2, false, false, 0, skip}, check);
  check({.m = 24, .n = 40, .k = 48, .batch = 2, .skip = 1, .bias = true, .residual = true});
  for (const i64 more : {1, 4}) transposed({24, 40, 48, false, false, 2, false, false, more}, check);
}

TEST_CASE("the residual may be where the product goes, and what is beside a row stays") {
  const Floats x = rounded(numbers(24 * 50, 7), DType::bf16);
  const DeviceArray a(x, DType::bf16), b(x, DType::bf16);
  DeviceArray c(x, DType::bf16);
  k::Matmul p = arguments({.m = 24, .n = 40, .k = 24, .more = 10}, DType::bf16);
  p.lda = 24;
  p.ldb = 40;
  p.a = a.data();
  p.b = b.data();
  p.c = c.data();
  p.residual = p.c;
  Floats wanted = x;
  k::Matmul q = p;
  q.a = q.b = x.data();
  q.c = wanted.data();
  q.residual = x.data();
  q.dtype = DType::f32;
  cpu::kernels().matmul(q);
  simt::backend()->kernels.matmul(p);
  const Floats got = c.values();
  CHECK(distance(got, wanted, DType::bf16) < 1);
  for (std::size_t i = 0; i < got.size(); ++i)
    if (i % 50 >= 40) CHECK(got[i] == x[i]);
}

TEST_CASE("equal calls give equal bits, in whatever order blocks run") {
  const Floats x = numbers(300 * 1200, 9);
  const DeviceArray a(x, DType::f32);
  DeviceArray c(300 * 20, DType::f32);
  k::Matmul p = arguments({.m = 300, .n = 20, .k = 1200}, DType::f32);
  p.a = p.b = a.data();
  p.c = c.data();
  Floats first;
  in_orders([&] {
    simt::backend()->kernels.matmul(p);
    if (first.empty()) first = c.values();
    CHECK(c.values() == first);
  });
}
