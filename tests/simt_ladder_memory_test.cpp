// The rungs of CUDA's ladders for LayerNorm, depthwise convolution and AdamW, on the emulator, against the
// CPU's kernels.
#include "kernels/ladders/ladders.h"
#include "tests/simt_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

const k::Ladders& ladders() {
  return *simt::backend()->ladders;
}

// The emulator's kernels with a rung in place of one.
template <class Args>
k::Kernels with_rung(const k::Rung<Args>& rung, void (*k::Kernels::*kernel)(const Args&)) {
  k::Kernels all = simt::backend()->kernels;
  all.*kernel = rung.run;
  return all;
}

bool is_device(const k::Kernels& run) {
  return run.name == simt::backend()->kernels.name;
}

}  // namespace

TEST_CASE("layer_norm: every rung at every size that it takes") {
  struct Case {
    i64 rows, cols;
    bool stats;
    int rungs;  // how many take it
  };
  // Rows that fill a warp's packs and that do not, more rows than warps that stay, one row, one column.
  const Case cases[] = {{1, 1, true, 3},    {5, 7, false, 3},    {130, 3, true, 3},  {2, 257, true, 3},
                        {33, 64, true, 5},  {3, 768, false, 5},  {2, 1280, true, 5}, {150, 16, true, 5},
                        {9, 160, false, 5}, {2, 1288, false, 3}, {2, 520, true, 5}};
  REQUIRE(ladders().layer_norm.count == 5);
  for (const Case& given : cases) {
    int number = 0;
    for (const auto& rung : ladders().layer_norm) {
      const bool taken = ++number <= given.rungs;
      Case s = given;
      if (number == 2) s.rows = std::min<i64>(s.rows, 5);  // a block each: more of them show nothing new
      CAPTURE(rung.name);
      CAPTURE(s.rows);
      CAPTURE(s.cols);
      const auto args = [&](DType t, const Pointers& p) {
        return k::LayerNorm{p[0], p[1], p[2], p[3], static_cast<float*>(p[4]), s.rows, s.cols, 1e-5f, t};
      };
      const Pointers aligned(5);
      CHECK(rung.takes(args(DType::bf16, aligned)) == taken);
      CHECK(rung.takes(args(DType::f32, aligned)) == taken);
      if (!taken) continue;
      check_kernel(
          {shifted(input(numbers(s.rows * s.cols, 1, -1, 2)), s.rungs == 3 ? 1 : 0),
           input(numbers(s.cols, 2)), input(numbers(s.cols, 3)), output(s.rows * s.cols),
           s.stats ? output_f32(2 * s.rows) : null()},
          [&](const k::Kernels& run, DType t, const Pointers& p) {
            if (is_device(run)) CHECK(rung.takes(args(t, p)));
            run.layer_norm(args(t, p));
          },
          5e-6, 0, with_rung(rung, &k::Kernels::layer_norm));
    }
  }
}

TEST_CASE("layer_norm: rungs keep their digits where the mean is large, and refuse what they do not take") {
  const i64 rows = 3, cols = 768;
  for (const auto& rung : ladders().layer_norm) {
    CAPTURE(rung.name);
    check_kernel(
        {input_f32(numbers(rows * cols, 1, 99, 101)), input_f32(numbers(cols, 2)),
         input_f32(numbers(cols, 3)), output_f32(rows * cols)},
        [&](const k::Kernels& run, DType, const Pointers& p) {
          run.layer_norm({p[0], p[1], p[2], p[3], nullptr, rows, cols, 1e-5f, DType::f32});
        },
        1e-4, 0, with_rung(rung, &k::Kernels::layer_norm));
    const bool packed = rung.name[0] >= '4';
    alignas(16) float x[8];
    CHECK(rung.takes({x + 1, x, x, x, x, 1, 8, 0, DType::f32}) == !packed);
    CHECK(rung.takes({x, x, x, x, x, 1, 4, 0, DType::bf16}) == !packed);
    CHECK(rung.takes({x, x, x, x, x, 1, 4, 0, DType::f32}));
    CHECK_FALSE(rung.takes({x, x, x, x, x, 0, 8, 0, DType::f32}));
  }
}

namespace {

struct Image {
  i64 n, h, w, c, stride;
  bool bias = true;
  k::Act act = k::Act::none;
  i64 inputs() const { return n * h * w * c; }
  i64 outputs() const { return n * ((h - 1) / stride + 1) * ((w - 1) / stride + 1) * c; }
};

}  // namespace

TEST_CASE("depthwise: every rung, strides 1 and 2, within and beyond strips and tiles") {
  // The last has channels for packs of neither type, and is for the first rung alone.
  const Image images[] = {{1, 1, 1, 8, 1},         {2, 5, 7, 16, 1, false, k::Act::gelu},
                          {1, 9, 18, 72, 1},       {1, 3, 35, 8, 1, true, k::Act::relu},
                          {1, 17, 4, 8, 1, false}, {1, 4, 6, 3, 1}};
  REQUIRE(ladders().depthwise.count == 4);
  for (const auto& rung : ladders().depthwise)
    for (Image s : images)
      for (const i64 stride : {1, 2}) {
        s.stride = stride;
        const bool taken = s.c % 8 == 0 || rung.name[0] == '1';
        CAPTURE(rung.name);
        CAPTURE(s.h);
        CAPTURE(s.w);
        CAPTURE(s.c);
        CAPTURE(stride);
        const auto args = [&](DType t, const Pointers& p) {
          return k::Depthwise{p[0], p[1], p[2], p[3], s.n, s.h, s.w, s.c, s.stride, s.act, t};
        };
        CHECK(rung.takes(args(DType::bf16, Pointers(4))) == taken);
        CHECK(rung.takes(args(DType::f32, Pointers(4))) == taken);
        if (!taken) continue;
        check_kernel(
            {input(numbers(s.inputs(), 1)), input(numbers(9 * s.c, 2)),
             s.bias ? input(numbers(s.c, 3)) : null(), output(s.outputs())},
            [&](const k::Kernels& run, DType t, const Pointers& p) { run.depthwise(args(t, p)); }, 2e-6, 0,
            with_rung(rung, &k::Kernels::depthwise));
      }
}

TEST_CASE("depthwise_backward: every rung, strides 1 and 2, also one of the gradients") {
  const Image images[] = {{1, 1, 1, 8, 1},   {2, 5, 7, 16, 1}, {1, 8, 37, 4, 1},
                          {1, 6, 2, 140, 1}, {3, 4, 3, 4, 1},  {1, 4, 6, 3, 1}};
  REQUIRE(ladders().depthwise_backward.count == 3);
  for (const auto& rung : ladders().depthwise_backward)
    for (Image s : images)
      for (const i64 stride : {1, 2})
        for (const unsigned wanted : {3u, 1u, 2u}) {
          s.stride = stride;
          if (wanted != 3 && s.n != 2) continue;
          const bool taken = rung.name[0] == '1' || (s.c % 4 == 0 && (rung.name[0] == '2' || wanted == 3));
          CAPTURE(rung.name);
          CAPTURE(s.h);
          CAPTURE(s.w);
          CAPTURE(s.c);
          CAPTURE(stride);
          CAPTURE(wanted);
          const auto args = [&](DType t, const Pointers& p) {
            return k::DepthwiseBackward{p[0], p[1], p[2], p[3], p[4], s.n, s.h, s.w, s.c, s.stride, t};
          };
          alignas(16) float x[4];
          void* some = x;
          const Pointers pointers{some, some, some, wanted & 1 ? some : nullptr, wanted & 2 ? some : nullptr};
          CHECK(rung.takes(args(DType::bf16, pointers)) == taken);
          CHECK(rung.takes(args(DType::f32, pointers)) == taken);
          if (!taken) continue;
          check_kernel(
              {input(numbers(s.inputs(), 1)), input(numbers(9 * s.c, 2)), input(numbers(s.outputs(), 3)),
               wanted & 1 ? output(s.inputs()) : null(), wanted & 2 ? output(9 * s.c) : null()},
              [&](const k::Kernels& run, DType t, const Pointers& p) { run.depthwise_backward(args(t, p)); },
              2e-6, 0, with_rung(rung, &k::Kernels::depthwise_backward));
        }
}

TEST_CASE("depthwise: rungs refuse addresses that their packs do not fit, and images of nothing") {
  alignas(16) float x[16];
  for (const auto& rung : ladders().depthwise) {
    const bool packed = rung.name[0] != '1';
    CHECK(rung.takes({x + 1, x, x, x, 1, 1, 1, 8, 1, k::Act::none, DType::f32}) == !packed);
    CHECK(rung.takes({x, x, x + 1, x, 1, 1, 1, 8, 1, k::Act::none, DType::f32}) == !packed);
    CHECK_FALSE(rung.takes({x, x, x, x, 0, 1, 1, 8, 1, k::Act::none, DType::f32}));
  }
  for (const auto& rung : ladders().depthwise_backward) {
    CHECK(rung.takes({x, x, x + 1, x, x, 1, 1, 1, 8, 1, DType::f32}) == (rung.name[0] == '1'));
    CHECK_FALSE(rung.takes({x, x, x, x, x, 1, 1, 0, 8, 1, DType::f32}));
  }
}

namespace {

// Tensors of many sizes, one after another from addresses of 16 bytes or, with a gap, beside them; some
// without a gradient, an average or a copy. Of very many most are empty, which costs no blocks.
struct Tensors {
  std::vector<i64> sizes, starts;
  i64 all = 0;

  Tensors(int count, i64 gap) {
    for (int i = 0; i < count; ++i) {
      const i64 n = i == 3                           ? 9001
                    : i == 5                         ? 4096
                    : i == 40 || (i > 50 && i < 395) ? 0
                    : i % 7 == 0                     ? 16 + i
                                                     : i % 3 + 1;
      starts.push_back(all);
      sizes.push_back(n);
      all += (n + 15) / 16 * 16 + gap;
    }
  }
  // w, m, v, average, copy and grad are the first six of p.
  std::vector<k::AdamW::Item> items(DType t, const Pointers& p) const {
    std::vector<k::AdamW::Item> items;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto at = static_cast<std::size_t>(starts[i]);
      const auto f = [&](std::size_t k) { return static_cast<float*>(p[k]) + at; };
      const auto own = [&](std::size_t k) { return static_cast<char*>(p[k]) + at * size_of(t); };
      const bool moves = i % 5 != 4;
      items.push_back({f(0), moves ? f(1) : nullptr, moves ? f(2) : nullptr, i % 3 ? f(3) : nullptr,
                       i % 2 && moves ? own(4) : nullptr, moves ? own(5) : nullptr, sizes[i],
                       0.5f + static_cast<float>(i % 4), i % 2 ? 0.1f : 0.0f, t});
    }
    return items;
  }
};

void check_adamw(const k::Rung<k::AdamW>& rung, const Tensors& tensors, double clip) {
  const auto state = [&](unsigned seed, float low) {
    Operand x = input_f32(numbers(tensors.all, seed, low, 1));
    x.output = true;
    return x;
  };
  Operand copy = input(Floats(static_cast<std::size_t>(tensors.all), 0.0f));
  copy.output = true;
  const auto count = static_cast<i64>(tensors.sizes.size());
  check_kernel(
      {state(1, -1), state(2, -1), state(3, 0), state(4, -1), copy, input(numbers(tensors.all, 5)),
       input_f32({0.01f, 2.0f, 1.5f, 0.125f}), input_f32(numbers(count, 6, 0, 0.3f))},
      [&](const k::Kernels& run, DType t, const Pointers& p) {
        const auto items = tensors.items(t, p);
        const k::AdamW args{
            items.data(), count, static_cast<const float*>(p[6]), static_cast<const float*>(p[7]), clip, 0.9f,
            0.999f,       1e-8f};
        CHECK(rung.takes(args));
        run.adamw(args);
      },
      1e-6, 0, with_rung(rung, &k::Kernels::adamw));
}

}  // namespace

TEST_CASE("adamw: every rung, with and without averages, copies, gradients and clipping") {
  REQUIRE(ladders().adamw.count == 5);
  for (const auto& rung : ladders().adamw) {
    CAPTURE(rung.name);
    const int count = rung.name[0] < '3' ? 12 : 50;  // more than the table of rungs 3 and 4
    for (const i64 gap : {0, 1}) check_adamw(rung, Tensors(count, gap), gap ? 0.0 : 2.0);
    check_adamw(rung, Tensors(1, 0), 1e6);
    if (rung.name[0] == '5') check_adamw(rung, Tensors(403, 0), 0.5);  // than its own
  }
}

TEST_CASE("adamw: rungs write nothing where a gradient is not finite, and refuse no tensors") {
  const i64 count = 50;
  for (const auto& rung : ladders().adamw)
    for (const float bad : {NAN, INFINITY})
      for (const std::size_t where : {std::size_t{0}, std::size_t{49}}) {
        CAPTURE(rung.name);
        Floats squares(count, 0.5f);
        squares[where] = bad;
        const Block w(input(numbers(101, 1)), DType::f32), m(input(numbers(101, 2)), DType::f32),
            v(input(numbers(101, 3, 0, 1)), DType::f32), average(input(numbers(101, 5)), DType::f32),
            grad(input(numbers(101, 4)), DType::f32), schedule(input({0.01f, 1, 1, 0.1f}), DType::f32),
            norms(input(squares), DType::f32);
        const auto f = [](const Block& b) { return static_cast<float*>(b.data()); };
        const std::vector<k::AdamW::Item> items(
            count, {f(w), f(m), f(v), f(average), nullptr, grad.data(), 101, 1, 0, DType::f32});
        const Floats before[] = {w.read(), m.read(), v.read(), average.read()};
        k::AdamW args{items.data(), count, f(schedule), f(norms), 1, 0.9f, 0.999f, 1e-8f};
        rung.run(args);
        CHECK(w.read() == before[0]);
        CHECK(m.read() == before[1]);
        CHECK(v.read() == before[2]);
        CHECK(average.read() == before[3]);
        args.count = 0;
        CHECK_FALSE(rung.takes(args));
      }
}
