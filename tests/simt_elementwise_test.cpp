// Elementwise kernels, copies, sums and softmax of kernels/cuda on the emulator, against the CPU's.
#include "tests/simt_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

const i64 kSizes[] = {1, 31, 256, 1021, 33001};

i64 product(const std::vector<i64>& dims) {
  i64 n = 1;
  for (i64 d : dims) n *= d;
  return n;
}

// Strides of a contiguous tensor of these sizes, 0 along axes that `kept` leaves out.
std::vector<i64> strides(const std::vector<i64>& dims, unsigned kept) {
  std::vector<i64> s(dims.size());
  i64 stride = 1;
  for (std::size_t i = dims.size(); i-- > 0;) {
    if (!(kept >> i & 1)) continue;
    s[i] = stride;
    stride *= dims[i];
  }
  return s;
}

i64 numel_of(const std::vector<i64>& dims, unsigned kept) {
  i64 n = 1;
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (kept >> i & 1) n *= dims[i];
  return n;
}

}  // namespace

TEST_CASE("simt: fill") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i32, DType::u8})
    for (const i64 n : kSizes)
      for (const i64 offset : {0, 1}) {
        const std::size_t bytes = static_cast<std::size_t>(n + offset) * size_of(dtype),
                          skipped = static_cast<std::size_t>(offset) * size_of(dtype);
        auto* y = static_cast<char*>(simt::backend()->allocate(bytes));
        std::vector<char> wanted(bytes - skipped);
        simt::backend()->kernels.fill({y + skipped, n, 7.3f, dtype});
        cpu::kernels().fill({wanted.data(), n, 7.3f, dtype});
        CHECK(std::memcmp(y + skipped, wanted.data(), wanted.size()) == 0);
        simt::backend()->release(y);
      }
}

TEST_CASE("simt: cast, to the bit") {
  const Floats special{NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-40f, 3.4e38f, 1.00390625f, 1.01171875f};
  for (const i64 n : kSizes)
    for (const bool narrows : {false, true})
      for (const i64 offset : {0, 3}) {
        CAPTURE(n);
        Floats values = numbers(n, 1, -5, 5);
        std::copy_n(special.begin(), std::min(values.size(), special.size()), values.begin());
        const DType from = narrows ? DType::f32 : DType::bf16, to = narrows ? DType::bf16 : DType::f32;
        const Block x(shifted(input(values), offset), from), y(output(n), to), wanted(output(n), to);
        cpu::kernels().cast({x.data(), wanted.data(), n, from, to});
        simt::backend()->kernels.cast({x.data(), y.data(), n, from, to});
        CHECK(std::memcmp(y.data(), wanted.data(), static_cast<std::size_t>(n) * size_of(to)) == 0);
      }
}

TEST_CASE("simt: unary and its backward") {
  for (const k::UnaryOp op : {k::UnaryOp::gelu, k::UnaryOp::relu, k::UnaryOp::sigmoid, k::UnaryOp::affine})
    for (const i64 n : kSizes)
      for (const i64 offset : {0, 1}) {
        CAPTURE(n);
        CAPTURE(static_cast<int>(op));
        const double tolerance = n == 1 ? 1e-3 : 2e-6;  // alone in GELU's tail: 1 + erf cancels
        const Operand x = shifted(input(numbers(n, 2, -9, 9)), offset);
        check_kernel(
            {x, output(n)},
            [&](const k::Kernels& run, DType t, const Pointers& p) {
              run.unary({op, p[0], p[1], n, t, -2.5f, 0.75f});
            },
            tolerance);
        Operand d = input(numbers(n, 3));
        check_kernel(
            {x, d, output(n)},
            [&](const k::Kernels& run, DType t, const Pointers& p) {
              run.unary_backward({op, p[0], p[1], p[2], n, t, -2.5f});
            },
            tolerance);
        d.output = true;  // in place
        check_kernel(
            {x, d},
            [&](const k::Kernels& run, DType t, const Pointers& p) {
              run.unary_backward({op, p[0], p[1], p[1], n, t, -2.5f});
            },
            tolerance);
      }
}

TEST_CASE("simt: binary with all kinds of repetition") {
  struct Shapes {
    std::vector<i64> dims;
    unsigned a, b;  // which axes they have
  };
  const Shapes shapes[] = {{{1}, 1, 1},        {{1021}, 1, 1},    {{33000}, 1, 1},
                           {{7, 40}, 3, 2},    {{7, 40}, 1, 3},   {{3, 5, 24}, 7, 2},
                           {{3, 5, 24}, 5, 6}, {{3, 5, 7}, 4, 3}, {{2, 5, 2, 4, 3}, 21, 11},
                           {{33, 1000}, 3, 2}, {{9, 16}, 0, 3},   {{4, 8}, 0, 0},
                           {{0, 4}, 3, 2}};
  for (const k::BinaryOp op : {k::BinaryOp::add, k::BinaryOp::sub, k::BinaryOp::mul, k::BinaryOp::div})
    for (const Shapes& s : shapes)
      for (const i64 offset : {0, 1}) {
        if (offset && op != k::BinaryOp::sub) continue;
        CAPTURE(s.dims);
        CAPTURE(static_cast<int>(op));
        const i64 n = product(s.dims);
        const Operand a = shifted(input(numbers(numel_of(s.dims, s.a), 4, 0.25f, 2)), offset),
                      b = input(numbers(numel_of(s.dims, s.b), 5, 0.25f, 2));
        k::Binary args{op, nullptr, nullptr, nullptr,   static_cast<int>(s.dims.size()),
                       {}, {},      {},      DType::f32};
        std::copy(s.dims.begin(), s.dims.end(), args.dims);
        std::ranges::copy(strides(s.dims, s.a), args.as);
        std::ranges::copy(strides(s.dims, s.b), args.bs);
        check_kernel({a, b, output(n)}, [&](const k::Kernels& run, DType t, const Pointers& p) {
          k::Binary mine = args;
          mine.a = p[0], mine.b = p[1], mine.y = p[2], mine.dtype = t;
          run.binary(mine);
        });
      }
}

TEST_CASE("simt: binary of operands that are slices") {
  for (const i64 step : {9, 16}) {
    CAPTURE(step);
    check_kernel({input(numbers(4 * step + 8, 1)), input(numbers(40, 2)), output(40)},
                 [&](const k::Kernels& run, DType t, const Pointers& p) {
                   run.binary({k::BinaryOp::sub, p[0], p[1], p[2], 2, {5, 8}, {step, 1}, {8, 1}, t});
                 });
  }
}

TEST_CASE("simt: sum_to over any axes") {
  struct Shapes {
    std::vector<i64> dims;
    unsigned kept;
  };
  const Shapes shapes[] = {{{5}, 0},         {{3, 5, 7}, 4},      {{3, 5, 7}, 1},        {{3, 5, 7}, 2},
                           {{3, 5, 7}, 5},   {{2, 3, 4, 5}, 5},   {{2, 3, 4, 5}, 10},    {{1, 1}, 3},
                           {{70001}, 0},     {{3001, 17}, 2},     {{1500, 64}, 2},       {{2, 901, 8}, 5},
                           {{33, 503}, 1},   {{3, 6, 503}, 5},    {{2, 3, 4096}, 2},     {{35, 2, 409}, 2},
                           {{131, 4099}, 2}, {{40, 5, 1}, 3},     {{7, 2, 9, 48}, 10},   {{0, 3}, 2},
                           {{900, 40}, 1},   {{2, 17, 3, 80}, 8}, {{6, 2, 5, 4, 32}, 20}};
  for (const Shapes& s : shapes)
    for (const i64 offset : {0, 1}) {
      CAPTURE(s.dims);
      CAPTURE(s.kept);
      const i64 n = product(s.dims), outputs = numel_of(s.dims, s.kept);
      k::SumTo args{nullptr, nullptr, static_cast<int>(s.dims.size()), {}, {}, outputs, -0.375f, DType::f32};
      std::copy(s.dims.begin(), s.dims.end(), args.dims);
      std::ranges::copy(strides(s.dims, s.kept), args.ys);
      const auto call = [&](const k::Kernels& run, DType t, const Pointers& p) {
        k::SumTo mine = args;
        mine.x = p[0], mine.y = p[1], mine.dtype = t;
        run.sum_to(mine);
      };
      check_kernel({shifted(input(numbers(n, 6, -0.5f, 1)), offset), output(outputs)}, call, 4e-6);
    }
}

TEST_CASE("simt: strided copies of every size") {
  struct Shapes {
    std::vector<i64> dims, xs, ys;
  };
  const Shapes shapes[] = {{{1000}, {1}, {1}},
                           {{3, 16}, {40, 1}, {16, 1}},          // a slice, words of 16 bytes
                           {{3, 7}, {9, 1}, {7, 1}},             // and of one element
                           {{5, 6, 8}, {8, 40, 1}, {48, 8, 1}},  // rows permuted
                           {{33, 70}, {1, 33}, {70, 1}},         // a transpose
                           {{2, 40, 3, 35}, {4200, 1, 1400, 40}, {4200, 105, 35, 1}},
                           {{4, 50}, {1, 0}, {50, 1}},  // repeats
                           {{3, 5}, {10, 2}, {5, 1}},   // every second
                           {{2, 3}, {3, 1}, {1, 2}},
                           {{1, 1}, {5, 9}, {1, 1}},
                           {{0, 4}, {4, 1}, {4, 1}}};
  for (const Shapes& s : shapes)
    for (const int size : {1, 2, 4})
      for (const i64 offset : {0, 1}) {
        CAPTURE(s.dims);
        CAPTURE(size);
        i64 x_end = offset + 1, y_end = offset + 1;
        for (std::size_t i = 0; i < s.dims.size(); ++i) {
          x_end += (std::max<i64>(s.dims[i], 1) - 1) * s.xs[i];
          y_end += (std::max<i64>(s.dims[i], 1) - 1) * s.ys[i];
        }
        const auto bytes = [&](i64 n) { return static_cast<std::size_t>(n * size); };
        auto* x = static_cast<u8*>(simt::backend()->allocate(bytes(x_end)));
        auto* y = static_cast<u8*>(simt::backend()->allocate(bytes(y_end)));
        for (std::size_t i = 0; i < bytes(x_end); ++i) x[i] = static_cast<u8>(i * 89 + i / 251);
        std::vector<u8> wanted(y, y + bytes(y_end)), before = wanted;
        k::StridedCopy args{x + bytes(offset),
                            wanted.data() + bytes(offset),
                            static_cast<int>(s.dims.size()),
                            {},
                            {},
                            {},
                            size};
        std::ranges::copy(s.dims, args.dims);
        std::ranges::copy(s.xs, args.xs);
        std::ranges::copy(s.ys, args.ys);
        cpu::kernels().strided_copy(args);
        args.y = y + bytes(offset);
        for (const simt::OrderKind order :
             {simt::OrderKind{}, simt::OrderKind{simt::OrderKind::shuffled, 3}}) {
          simt::set_order(order);
          std::ranges::copy(before, y);
          simt::backend()->kernels.strided_copy(args);
          CHECK(std::equal(wanted.begin(), wanted.end(), y));
        }
        simt::set_order({});
        simt::backend()->release(x);
        simt::backend()->release(y);
      }
}
