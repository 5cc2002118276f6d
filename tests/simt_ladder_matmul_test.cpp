// Each rung of the matrix product's CUDA ladder on the emulator against the CPU's kernel.
#include <cstring>
#include <string>

#include "tests/simt_arrays.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Product {
  i64 m, n, k;
  bool tb = true;
  i64 more = 0;  // elements of each row of A, B and C that do not belong to it
  i64 skip = 0;  // elements before A, B and C
  bool bias = false;
  float alpha = 1;
};

k::Matmul arguments(const Product& p, DType dtype) {
  k::Matmul a{};
  a.m = p.m;
  a.n = p.n;
  a.k = p.k;
  a.tb = p.tb;
  a.lda = p.k + p.more;
  a.ldb = (p.tb ? p.k : p.n) + p.more;
  a.ldc = p.n + p.more;
  a.batch = 1;
  a.alpha = p.alpha;
  a.dtype = dtype;
  return a;
}

const k::Rung<k::Matmul>& rung(const char* name) {
  for (const auto& r : simt::backend()->ladders->matmul)
    if (std::strcmp(r.name, name) == 0) return r;
  FAIL("no such rung");
  std::abort();
}

// The rung where it takes the product, in each type and order; it must take it in `types`.
void check(const char* name, const Product& p, std::initializer_list<DType> types) {
  CAPTURE(name);
  CAPTURE(p.m);
  CAPTURE(p.n);
  CAPTURE(p.k);
  CAPTURE(p.tb);
  CAPTURE(p.more);
  CAPTURE(p.skip);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    k::Matmul args = arguments(p, dtype), plain = arguments(p, DType::f32);
    const Floats a = rounded(numbers(p.m * args.lda, 1), dtype), bias = rounded(numbers(p.n, 4), dtype);
    const Floats b = rounded(numbers((p.tb ? p.n : p.k) * args.ldb, 2), dtype);
    const Floats before = rounded(numbers(p.m * args.ldc, 3), dtype);
    Floats wanted = before;
    plain.a = a.data();
    plain.b = b.data();
    plain.c = wanted.data();
    plain.bias = p.bias ? bias.data() : nullptr;
    cpu::kernels().matmul(plain);

    const DeviceArray da(a, dtype, p.skip), db(b, dtype, p.skip), dbias(bias, dtype, p.skip);
    DeviceArray dc(before, dtype, p.skip);
    args.a = da.data();
    args.b = db.data();
    args.c = dc.data();
    args.bias = p.bias ? dbias.data() : nullptr;
    const bool wants = std::find(types.begin(), types.end(), dtype) != types.end();
    CHECK(rung(name).takes(args) == wants);
    if (!wants) continue;
    in_orders([&] {
      dc.set(before);
      rung(name).run(args);
      CHECK(distance(dc.values(), wanted, dtype) < 1);
    });
  }
}

const Product kSizes[] = {{1, 1, 1},           {1, 67, 13},          {33, 31, 33, false}, {65, 7, 40},
                          {40, 72, 80, false}, {3, 130, 101, false}, {130, 3, 35}};

void check_sizes(const char* name, std::initializer_list<DType> types) {
  for (Product p : kSizes) {
    check(name, p, types);
    p.tb = !p.tb;
    check(name, p, types);
  }
  for (const bool tb : {false, true}) {
    check(name, {.m = 7, .n = 10, .k = 0, .tb = tb, .bias = true}, types);  // an empty sum is zero
    check(name, {.m = 17, .n = 24, .k = 40, .tb = tb, .more = 3, .bias = true, .alpha = 0.5f}, types);
    check(name, {.m = 17, .n = 19, .k = 40, .tb = tb, .more = 8, .skip = 1}, types);
    check(name, {.m = 0, .n = 19, .k = 40, .tb = tb}, types);
  }
}

}  // namespace

TEST_CASE("the ladder's rungs are numbered, and each says what it is for") {
  int number = 0;
  for (const auto& r : simt::backend()->ladders->matmul) {
    CHECK(std::string(r.name).rfind(std::to_string(++number) + "_", 0) == 0);
    CHECK(std::strlen(r.idea) > 20);
  }
  CHECK(number == 6);
}

TEST_CASE("what no rung takes") {
  for (const auto& r : simt::backend()->ladders->matmul) {
    CAPTURE(r.name);
    for (const DType dtype : {DType::f32, DType::bf16})
      for (int i = 0; i < 5; ++i) {
        k::Matmul p = arguments({16, 16, 16}, dtype);
        if (i == 0) p.ta = true;
        if (i == 1) p.batch = 2;
        if (i == 2) p.accumulate = true;
        if (i == 3) p.act = k::Act::gelu;
        if (i == 4) p.residual = &p;
        CHECK_FALSE(r.takes(p));
      }
  }
}

TEST_CASE("1_naive") {
  check_sizes("1_naive", {DType::f32, DType::bf16});
}

TEST_CASE("2_shared_tiles") {
  check_sizes("2_shared_tiles", {DType::f32, DType::bf16});
  check("2_shared_tiles", {300, 70, 64, false}, {DType::f32, DType::bf16});  // more tiles than go together
}

TEST_CASE("3_register_tiles") {
  check_sizes("3_register_tiles", {DType::f32});
  check("3_register_tiles", {132, 264, 24, false}, {DType::f32});
}

TEST_CASE("4_tensor_cores") {
  check_sizes("4_tensor_cores", {DType::bf16});
  check("4_tensor_cores", {132, 264, 72}, {DType::bf16});
}

TEST_CASE("5_async_pipeline") {
  check_sizes("5_async_pipeline", {DType::bf16});
  for (const bool tb : {false, true}) check("5_async_pipeline", {132, 264, 208, tb}, {DType::bf16});
}

TEST_CASE("6_wgmma") {
  const char* const name = "6_wgmma";
  // Rows that begin at multiples of 16 bytes, whatever m, n and k are: the tail of a row is beside it.
  for (const bool tb : {false, true}) {
    check(name, {1, 8, 8, tb}, {DType::bf16});
    check(name, {.m = 131, .n = 72, .k = 136, .tb = tb, .bias = true, .alpha = 0.5f}, {DType::bf16});
    check(name, {.m = 3, .n = 264, .k = 24, .tb = tb, .more = 8}, {DType::bf16});
  }
  check(name, {.m = 5, .n = 13, .k = 7, .more = 1, .bias = true}, {DType::bf16});  // C is not aligned
  check(name, {.m = 5, .n = 27, .k = 27, .tb = false, .more = 5}, {DType::bf16});
  check(name, {.m = 1100, .n = 8, .k = 8}, {DType::bf16});  // tiles in turn, and more than go together
  check(name, {.m = 4, .n = 8, .k = 400}, {DType::bf16});   // more steps than stages
  check(name, {4, 8, 7}, {});
  check(name, {4, 8, 0}, {});
  check(name, {4, 7, 8, false}, {});
  check(name, {.m = 4, .n = 8, .k = 8, .skip = 1}, {});
}

TEST_CASE("equal calls give equal bits, in whatever order blocks run") {
  const Floats x = numbers(200 * 160, 9);
  for (const auto& r : simt::backend()->ladders->matmul)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const DeviceArray a(x, dtype);
      DeviceArray c(200 * 24, dtype);
      k::Matmul p = arguments({200, 24, 160}, dtype);
      p.a = p.b = a.data();
      p.c = c.data();
      if (!r.takes(p)) continue;
      Floats first;
      in_orders([&] {
        r.run(p);
        if (first.empty()) first = c.values();
        CHECK(c.values() == first);
      });
    }
}
