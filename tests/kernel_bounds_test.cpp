// Kernels write their outputs and nothing beside them, also where an output is an input. An op's output lies
// in a block that is rounded up, where a stray vector of a tail would stay unseen.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/tensor.h"
#include "tests/test_device.h"

using namespace bp;

namespace {

const Device kDevice = testing::test_device();
constexpr float kUntouched = 12345.0f;
constexpr i64 kGuard = 64;

struct Output {  // n floats between two guards
  Tensor data;
  explicit Output(i64 n) : data(full({n + 2 * kGuard}, kUntouched, DType::f32, kDevice)) {}
  float* begin() const { return static_cast<float*>(data.raw()) + kGuard; }
  operator void*() const { return begin(); }
  bool clean() const {
    const std::vector<float> all = data.values();
    const auto untouched = [](float v) { return v == kUntouched; };
    return std::all_of(all.begin(), all.begin() + kGuard, untouched) &&
           std::all_of(all.end() - kGuard, all.end(), untouched) &&
           std::none_of(all.begin() + kGuard, all.end() - kGuard, untouched);
  }
};

std::vector<float> numbers(i64 n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) / 8 - 1;
  return x;
}

struct Input {
  Tensor data;
  explicit Input(const std::vector<float>& values)
      : data(from_values({static_cast<i64>(values.size())}, values, DType::f32, kDevice)) {}
  explicit Input(i64 n) : Input(numbers(n)) {}
  float* begin() const { return static_cast<float*>(data.raw()); }
};

}  // namespace

TEST_CASE("elementwise kernels and reductions stay in bounds") {
  const k::Kernels& kernels = bp::kernels(kDevice);
  for (i64 n = 1; n <= 70; ++n) {
    CAPTURE(n);
    const Input x(3 * n);
    const float* const in = x.begin();
    Output filled(n), op(n), slope(n), sum(n), total(1), last(n), copy(3 * n), soft(3 * n), soft_dx(3 * n);
    kernels.fill({filled, n, 2.0f, DType::f32});
    kernels.unary({k::UnaryOp::gelu, in, op, n, DType::f32, 0, 0});
    kernels.unary_backward({k::UnaryOp::gelu, in, in, slope, n, DType::f32, 0});
    kernels.binary({k::BinaryOp::add, in, in, sum, 1, {n}, {1}, {0}, DType::f32});
    kernels.sum_to({in, total, 2, {3, n}, {0, 0}, 1, 1, DType::f32});
    kernels.sum_to({in, last, 2, {3, n}, {0, 1}, n, 1, DType::f32});
    kernels.strided_copy({in, copy, 2, {n, 3}, {1, n}, {3, 1}, 4});
    kernels.softmax({in, soft, 3, n, DType::f32});
    kernels.softmax_backward({in, in, soft_dx, 3, n, DType::f32});
    for (const Output* y : {&filled, &op, &slope, &sum, &total, &last, &copy, &soft, &soft_dx})
      CHECK(y->clean());

    Output y(3 * n), stats(6), dx(3 * n), dw(n), db(n);
    kernels.layer_norm({in, in, in, y, stats.begin(), 3, n, 1e-5f, DType::f32});
    kernels.layer_norm_backward({in, in, in, stats.begin(), dx, dw, db, 3, n, DType::f32});
    for (const Output* o : {&y, &stats, &dx, &dw, &db}) CHECK(o->clean());

    Output bn_y(3 * n), bn_stats(2 * n), bn_dx(3 * n), bn_dw(n), bn_db(n);
    const Input running(std::vector<float>(static_cast<std::size_t>(n), 1.0f));
    kernels.batch_norm({in, in, in, bn_y, running.begin(), running.begin(), bn_stats.begin(), 3, n, 1e-5f,
                        0.1f, true, k::Act::gelu, DType::f32});
    kernels.batch_norm_backward(
        {in, in, in, in, bn_stats.begin(), bn_dx, bn_dw, bn_db, 3, n, true, k::Act::gelu, DType::f32});
    for (const Output* o : {&bn_y, &bn_stats, &bn_dx, &bn_dw, &bn_db}) CHECK(o->clean());

    Output unit(3 * n), norms(3), unit_dx(3 * n), loss(1), outside(1), slopes(n);
    kernels.l2_normalize({in, unit, norms.begin(), 3, n, 1e-12f, DType::f32});
    kernels.l2_normalize_backward({in, in, norms.begin(), unit_dx, 3, n, 1e-12f, DType::f32});
    kernels.bce_with_logits({in, in, loss, slopes, outside.begin(), n, DType::f32});
    for (const Output* o : {&unit, &norms, &unit_dx, &loss, &outside, &slopes}) CHECK(o->clean());

    Output w(n), m(n), v(n), average(n), weights(n), squares(1);
    const k::AdamW::Item item{w.begin(), m.begin(), v.begin(), average.begin(), weights, in,
                              n,         1,         0.1f,      DType::f32};
    const k::SquaredNorms::Item terms{in, n, DType::f32};
    kernels.squared_norms({&terms, 1, squares.begin()});
    const Input schedule(std::vector<float>{0.1f, 1, 1, 0.5f});
    kernels.adamw({&item, 1, schedule.begin(), squares.begin(), 0, 0.9f, 0.99f, 1e-8f});
    for (const Output* o : {&w, &m, &v, &average, &weights, &squares}) CHECK(o->clean());

    const Tensor half = full({n + 2 * kGuard}, -3, DType::bf16, kDevice);
    kernels.cast({in, static_cast<bf16*>(half.raw()) + kGuard, n, DType::f32, DType::bf16});
    const std::vector<float> halves = half.values();
    for (i64 i = 0; i < n + 2 * kGuard; ++i)
      REQUIRE((halves[static_cast<std::size_t>(i)] == -3) == (i < kGuard || i >= kGuard + n));
  }
}

TEST_CASE("kernels over maps stay in bounds") {
  const k::Kernels& kernels = bp::kernels(kDevice);
  for (const i64 c : {1, 3, 8, 15, 16, 17, 33})
    for (const i64 w : {1, 2, 5, 8}) {
      CAPTURE(c);
      CAPTURE(w);
      const i64 n = 2, h = 3, o = 7;
      const Input x(n * h * w * std::max(c, o) + o * 9 * c);
      const float* const in = x.begin();
      Output y(n * h * w * o), dx(n * h * w * c), dw(o * 9 * c);
      kernels.conv2d({in, in, in, y, n, h, w, c, o, 3, 3, 1, 1, k::Act::none, DType::f32});
      kernels.conv2d_backward({in, in, in, dx, dw, n, h, w, c, o, 3, 3, 1, 1, DType::f32});
      for (const Output* out : {&y, &dx, &dw}) CHECK(out->clean());

      for (const i64 stride : {1, 2}) {
        CAPTURE(stride);
        Output z(n * ((h - 1) / stride + 1) * ((w - 1) / stride + 1) * c), dz(n * h * w * c), dtaps(9 * c);
        kernels.depthwise({in, in, in, z, n, h, w, c, stride, k::Act::gelu, DType::f32});
        kernels.depthwise_backward({in, in, in, dz, dtaps, n, h, w, c, stride, DType::f32});
        for (const Output* out : {&z, &dz, &dtaps}) CHECK(out->clean());
      }
      Output large(n * 5 * 11 * c), small(n * h * w * c);
      kernels.resize_bilinear({in, large, n, h, w, c, 5, 11, DType::f32});
      kernels.resize_bilinear_backward({large.begin(), small, n, h, w, c, 5, 11, DType::f32});
      for (const Output* out : {&large, &small}) CHECK(out->clean());
    }
}

TEST_CASE("products and attention stay in bounds") {
  const k::Kernels& kernels = bp::kernels(kDevice);
  const Input x(40000);
  const float* const in = x.begin();
  for (const i64 m : {1, 13, 14, 15, 29})
    for (const i64 n : {1, 15, 16, 31, 32, 33, 50}) {
      CAPTURE(m);
      CAPTURE(n);
      Output c(m * n);
      kernels.matmul(
          {in, in, c, m, n, 9, false, true, 9, 9, n, 1, 0, 0, 0, 1, in, in, k::Act::gelu, false, DType::f32});
      CHECK(c.clean());
      Output t(m * n);
      // A and B end where the memory that may be read does.
      const Input a(9 * m), b(9 * n);
      kernels.matmul({a.begin(), b.begin(), t, m, n, 9,  true, false,        m,     n,         n,
                      1,         0,         0, 0, 1, in, in,   k::Act::gelu, false, DType::f32});
      CHECK(t.clean());
    }
  for (const i64 d : {5, 16, 33}) {
    CAPTURE(d);
    const i64 heads = 2, nq = 7, nk = 9, c = heads * d;
    Output y(nq * c), lse(heads * nq), dq(nq * c), dk(nk * c), dv(nk * c);
    const k::Attention forward{in, in, in, y, lse.begin(), 1, heads, nq,   nk,
                               d,  c,  c,  c, 0,           0, 0,     0.2f, DType::f32};
    kernels.attention(forward);
    kernels.attention_backward({forward, in, dq, dk, dv});
    for (const Output* out : {&y, &lse, &dq, &dk, &dv}) CHECK(out->clean());

    Output z(20 * c), lses(4 * heads * 9), dqkv(20 * 3 * c), dpad(3 * c), dbias(heads * 9);
    const k::WindowAttention windows{.qkv = in,
                                     .pad = in,
                                     .rel_h = nullptr,
                                     .rel_w = nullptr,
                                     .bias = in,
                                     .y = z,
                                     .lse = lses.begin(),
                                     .batch = 1,
                                     .h = 4,
                                     .w = 5,
                                     .heads = heads,
                                     .d = d,
                                     .win_h = 3,
                                     .win_w = 3,
                                     .per_head = true,
                                     .scale = 0.2f,
                                     .dtype = DType::f32};
    kernels.window_attention(windows);
    kernels.window_attention_backward({windows, in, dqkv, dpad, dbias});
    for (const Output* out : {&z, &dqkv, &dpad, &dbias}) CHECK(out->clean());
  }
}

TEST_CASE("products add to what is there, times alpha, and apply the epilogue") {
  const k::Kernels& kernels = bp::kernels(kDevice);
  const i64 m = 17, n = 37, depth = 1030, lda = m + 2, ldb = n + 3, ldc = n + 5;
  const std::vector<float> a = numbers(depth * lda), b = numbers(depth * ldb), start = numbers(m * ldc);
  const Input da(a), db(b), dstart(start), sum(start), all(start);
  k::Matmul p{da.begin(), db.begin(), sum.begin(),  m,    n,         depth, true, false,
              lda,        ldb,        ldc,          1,    0,         0,     0,    0.25f,
              nullptr,    nullptr,    k::Act::none, true, DType::f32};
  kernels.matmul(p);
  p.c = all.begin(), p.bias = dstart.begin() + 1, p.residual = dstart.begin(), p.act = k::Act::relu,
  p.accumulate = false;
  kernels.matmul(p);
  const std::vector<float> added = sum.data.values(), whole = all.data.values();
  for (i64 i = 0; i < m; ++i)
    for (i64 j = 0; j < ldc; ++j) {
      const std::size_t at = static_cast<std::size_t>(i * ldc + j);
      if (j >= n) {  // between the rows
        CHECK(added[at] == start[at]);
        CHECK(whole[at] == start[at]);
        continue;
      }
      double product = 0;
      for (i64 r = 0; r < depth; ++r)
        product += static_cast<double>(a[static_cast<std::size_t>(r * lda + i)]) *
                   static_cast<double>(b[static_cast<std::size_t>(r * ldb + j)]);
      const double before = static_cast<double>(start[at]),
                   bias = static_cast<double>(start[static_cast<std::size_t>(j + 1)]);
      CHECK(static_cast<double>(added[at]) == doctest::Approx(before + 0.25 * product).epsilon(1e-5));
      CHECK(static_cast<double>(whole[at]) ==
            doctest::Approx(before + std::max(0.0, 0.25 * product + bias)).epsilon(1e-5));
    }
}

TEST_CASE("kernels that may write over an input do so") {
  const k::Kernels& kernels = bp::kernels(kDevice);
  const i64 n = 40007;  // more than one parallel range, with a tail
  const Input x(n), b(std::vector<float>{3.0f});
  const auto same_in_place = [&](auto run) {
    const Input y(n), z(n);
    run(x.begin(), y.begin());
    run(z.begin(), z.begin());
    CHECK(z.data.values() == y.data.values());
  };
  same_in_place([&](const float* in, float* out) {
    kernels.unary({k::UnaryOp::gelu, in, out, n, DType::f32, 0, 0});
  });
  same_in_place([&](const float* in, float* out) {
    kernels.unary_backward({k::UnaryOp::gelu, x.begin(), in, out, n, DType::f32, 0});
  });
  same_in_place([&](const float* in, float* out) {
    kernels.binary({k::BinaryOp::mul, in, b.begin(), out, 1, {n}, {1}, {0}, DType::f32});
  });
  same_in_place([&](const float* in, float* out) {
    kernels.binary({k::BinaryOp::sub, b.begin(), in, out, 1, {n}, {0}, {1}, DType::f32});
  });
  same_in_place([&](const float* in, float* out) {  // the residual is C
    kernels.matmul({.a = x.begin(),
                    .b = x.begin(),
                    .c = out,
                    .m = 53,
                    .n = 71,
                    .k = 19,
                    .ta = false,
                    .tb = false,
                    .lda = 19,
                    .ldb = 71,
                    .ldc = 71,
                    .batch = 1,
                    .a_batch = 0,
                    .b_batch = 0,
                    .c_batch = 0,
                    .alpha = 1,
                    .bias = nullptr,
                    .residual = in,
                    .act = k::Act::none,
                    .accumulate = false,
                    .dtype = DType::f32});
  });
}
