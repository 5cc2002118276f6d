// Kernels over rows and columns and the optimizer's, of kernels/cuda, on the emulator, against the CPU's.
#include <limits>

#include "tests/simt_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Size {
  i64 rows, cols;
};
// Held and long rows, packs of both types and none, lanes of a warp shared and not.
const Size kRows[] = {{1, 1},   {5, 7},   {70, 8},   {33, 64},  {9, 100},  {3, 256}, {2, 257},
                      {4, 320}, {3, 768}, {2, 1280}, {2, 1288}, {3, 2049}, {300, 16}};

Operand row_statistics(const Floats& x, Size s) {
  Operand stats = output_f32(2 * s.rows);
  const Floats one(static_cast<std::size_t>(s.cols), 1.0f), zero(one.size());
  Floats y(x.size());
  cpu::kernels().layer_norm(
      {x.data(), one.data(), zero.data(), y.data(), stats.values.data(), s.rows, s.cols, 1e-5f, DType::f32});
  stats.output = false;
  return stats;
}

}  // namespace

TEST_CASE("simt: softmax and its backward") {
  for (const Size s : kRows)
    for (const i64 offset : {0, 1}) {
      CAPTURE(s.rows);
      CAPTURE(s.cols);
      const i64 n = s.rows * s.cols;
      check_kernel(
          {shifted(input(numbers(n, 1, -30, 30)), offset), output(n)},
          [&](const k::Kernels& run, DType t, const Pointers& p) {
            run.softmax({p[0], p[1], s.rows, s.cols, t});
          },
          6e-6);
      check_kernel(
          {shifted(input(numbers(n, 2, 0, 0.1f)), offset), input(numbers(n, 3)), output(n)},
          [&](const k::Kernels& run, DType t, const Pointers& p) {
            run.softmax_backward({p[0], p[1], p[2], s.rows, s.cols, t});
          },
          2e-5);
    }
}

TEST_CASE("simt: softmax of long rows whose largest value comes late") {
  const i64 cols = 3000;
  Floats x = numbers(2 * cols, 1, -80, -60);
  for (i64 i = 0; i < cols; ++i) x[static_cast<std::size_t>(i)] += 0.04f * static_cast<float>(i);
  x[4000] = -std::numeric_limits<float>::infinity();
  check_kernel(
      {input(x), output(2 * cols)},
      [&](const k::Kernels& run, DType t, const Pointers& p) {
        run.softmax({p[0], p[1], 2, cols, t});
      },
      6e-6);
}

TEST_CASE("simt: l2_normalize and its backward, rows below eps too") {
  for (const Size s : kRows)
    for (const bool norms : {true, false}) {
      CAPTURE(s.rows);
      CAPTURE(s.cols);
      const i64 n = s.rows * s.cols;
      const float eps = 0.125f;
      Floats x = numbers(n, 4);
      for (i64 i = 0; i < s.cols; ++i) x[static_cast<std::size_t>(i)] *= 1e-4f;
      check_kernel({shifted(input(x), norms ? 0 : 1), output(n), norms ? output_f32(s.rows) : null()},
                   [&](const k::Kernels& run, DType t, const Pointers& p) {
                     run.l2_normalize({p[0], p[1], static_cast<float*>(p[2]), s.rows, s.cols, eps, t});
                   });
      Floats divisors = numbers(s.rows, 5, 0.5f, 2);
      divisors[0] = eps;
      check_kernel(
          {shifted(input(numbers(n, 6, -0.1f, 0.1f)), norms ? 0 : 1), input(numbers(n, 7)), output(n),
           input_f32(divisors)},
          [&](const k::Kernels& run, DType t, const Pointers& p) {
            run.l2_normalize_backward(
                {p[0], p[1], static_cast<const float*>(p[3]), p[2], s.rows, s.cols, eps, t});
          },
          1e-5);
    }
}

TEST_CASE("simt: layer_norm") {
  for (const Size s : kRows)
    for (const bool stats : {true, false}) {
      CAPTURE(s.rows);
      CAPTURE(s.cols);
      const i64 n = s.rows * s.cols;
      check_kernel(
          {shifted(input(numbers(n, 1, -1, 2)), stats ? 0 : 1), input(numbers(s.cols, 2)),
           input(numbers(s.cols, 3)), output(n), stats ? output_f32(2 * s.rows) : null()},
          [&](const k::Kernels& run, DType t, const Pointers& p) {
            run.layer_norm({p[0], p[1], p[2], p[3], static_cast<float*>(p[4]), s.rows, s.cols, 1e-5f, t});
          },
          5e-6);
    }
}

TEST_CASE("simt: layer_norm keeps its digits where the mean is large") {
  for (const Size s : {Size{3, 768}, Size{2, 3000}}) {
    const i64 n = s.rows * s.cols;
    check_kernel(
        {input_f32(numbers(n, 1, 999, 1001)), input_f32(numbers(s.cols, 2)), input_f32(numbers(s.cols, 3)),
         output_f32(n)},
        [&](const k::Kernels& run, DType, const Pointers& p) {
          run.layer_norm({p[0], p[1], p[2], p[3], nullptr, s.rows, s.cols, 1e-5f, DType::f32});
        },
        3e-4);
  }
}

TEST_CASE("simt: layer_norm_backward, also of some of its gradients") {
  for (const Size s : kRows)
    for (const unsigned wanted : {7u, 1u, 2u, 4u, 6u}) {
      // dx of one column is 0, and rounding all that it would show
      if (s.cols == 1 ? wanted != 6 : wanted != 7 && s.cols != 64 && s.cols != 1288) continue;
      for (const i64 offset : {0, 1}) {
        CAPTURE(s.rows);
        CAPTURE(s.cols);
        CAPTURE(wanted);
        const i64 n = s.rows * s.cols;
        const Floats x = numbers(n, 1, -1, 2);
        check_kernel(
            {shifted(input(x), offset), input(numbers(s.cols, 2)), input(numbers(n, 3)), row_statistics(x, s),
             wanted & 1 ? output(n) : null(), wanted & 2 ? output(s.cols) : null(),
             wanted & 4 ? output(s.cols) : null()},
            [&](const k::Kernels& run, DType t, const Pointers& p) {
              run.layer_norm_backward(
                  {p[0], p[1], p[2], static_cast<const float*>(p[3]), p[4], p[5], p[6], s.rows, s.cols, t});
            },
            5e-6);
      }
    }
}

namespace {

const Size kChannels[] = {{2, 1},    {3, 7},    {50, 8},   {37, 96},  {200, 3},
                          {700, 40}, {11, 520}, {5, 2051}, {1200, 16}};

}  // namespace

TEST_CASE("simt: batch_norm in training and outside of it") {
  for (const Size s : kChannels)
    for (const bool training : {true, false})
      for (const k::Act act : {k::Act::none, k::Act::gelu, k::Act::relu}) {
        if (act != k::Act::none && s.cols != 96 && s.cols != 7) continue;
        CAPTURE(s.rows);
        CAPTURE(s.cols);
        CAPTURE(training);
        const i64 n = s.rows * s.cols;
        Operand mean = input_f32(numbers(s.cols, 4)), variance = input_f32(numbers(s.cols, 5, 0.5f, 2));
        mean.output = variance.output = true;  // and to begin with
        check_kernel(
            {shifted(input(numbers(n, 1, -1, 2)), s.rows == 11 ? 1 : 0), input(numbers(s.cols, 2, 0.5f, 1)),
             input(numbers(s.cols, 3)), output(n), mean, variance, output_f32(2 * s.cols)},
            [&](const k::Kernels& run, DType t, const Pointers& p) {
              const auto f = [&](std::size_t i) { return static_cast<float*>(p[i]); };
              run.batch_norm(
                  {p[0], p[1], p[2], p[3], f(4), f(5), f(6), s.rows, s.cols, 1e-5f, 0.1f, training, act, t});
            },
            1e-5);
      }
}

// Against sums in double precision: the kernel must be as good as the rounding of its inputs.
TEST_CASE("simt: batch statistics keep their digits where the mean is large or the first row is far away") {
  const i64 rows = 3000, cols = 12;
  Floats x = numbers(rows * cols, 1, 999, 1001);
  x[1] = -5000;
  const Block given(input(x), DType::f32), one(input(Floats(cols, 1.0f)), DType::f32),
      zero(input(Floats(cols, 0.0f)), DType::f32), y(output(rows * cols), DType::f32),
      running_mean(input(Floats(cols, 0.0f)), DType::f32), running_var(input(Floats(cols, 0.0f)), DType::f32),
      stats(output(2 * cols), DType::f32);
  const auto f = [](const Block& b) { return static_cast<float*>(b.data()); };
  simt::backend()->kernels.batch_norm({given.data(), one.data(), zero.data(), y.data(), f(running_mean),
                                       f(running_var), f(stats), rows, cols, 0, 1, true, k::Act::none,
                                       DType::f32});
  for (i64 c = 0; c < cols; ++c) {
    double mean = 0, square = 0;
    for (i64 r = 0; r < rows; ++r)
      mean += static_cast<double>(x[static_cast<std::size_t>(r * cols + c)]) / rows;
    for (i64 r = 0; r < rows; ++r) {
      const double d = static_cast<double>(x[static_cast<std::size_t>(r * cols + c)]) - mean;
      square += d * d;
    }
    CAPTURE(c);
    CHECK(static_cast<double>(f(stats)[c]) == doctest::Approx(mean).epsilon(3e-7));
    CHECK(static_cast<double>(f(stats)[cols + c]) ==
          doctest::Approx(1 / std::sqrt(square / rows)).epsilon(2e-6));
    CHECK(static_cast<double>(f(running_mean)[c]) == doctest::Approx(mean).epsilon(3e-7));
    CHECK(static_cast<double>(f(running_var)[c]) == doctest::Approx(square / (rows - 1)).epsilon(2e-6));
  }
}

TEST_CASE("simt: batch_norm_backward, also of some of its gradients") {
  for (const Size s : kChannels)
    for (const bool training : {true, false})
      for (const k::Act act : {k::Act::none, k::Act::gelu, k::Act::relu})
        for (const unsigned wanted : {7u, 1u, 6u}) {
          if ((act != k::Act::none || wanted != 7) && s.cols != 96 && s.cols != 7) continue;
          CAPTURE(s.rows);
          CAPTURE(s.cols);
          CAPTURE(training);
          CAPTURE(wanted);
          const i64 n = s.rows * s.cols;
          Floats stats = numbers(2 * s.cols, 6, 0.7f, 1.3f);
          check_kernel(
              {shifted(input(numbers(n, 1, -1, 2)), s.rows == 11 ? 1 : 0), input(numbers(s.cols, 2, 0.5f, 1)),
               input(numbers(s.cols, 3)), input(numbers(n, 4)), input_f32(stats),
               wanted & 1 ? output(n) : null(), wanted & 2 ? output(s.cols) : null(),
               wanted & 4 ? output(s.cols) : null()},
              [&](const k::Kernels& run, DType t, const Pointers& p) {
                run.batch_norm_backward({p[0], p[1], p[2], p[3], static_cast<const float*>(p[4]), p[5], p[6],
                                         p[7], s.rows, s.cols, training, act, t});
              },
              1e-5);
        }
}

TEST_CASE("simt: bce_with_logits, targets out of range counted") {
  for (const i64 n : {1, 6, 1021, 33001})
    for (const bool gradient : {true, false})
      for (const i64 offset : {0, 1}) {
        CAPTURE(n);
        Floats x = numbers(n, 1, -20, 20), targets = numbers(n, 2, 0, 1);
        if (n > 5) {
          x[0] = 200, x[1] = -200;
          targets[0] = 0, targets[1] = 1, targets[2] = -0.5f, targets[3] = 1.5f, targets[4] = 2;
        }
        check_kernel(
            {shifted(input(x), offset), input(targets), output(1), gradient ? output(n) : null(),
             output_f32(1)},
            [&](const k::Kernels& run, DType t, const Pointers& p) {
              run.bce_with_logits({p[0], p[1], p[2], p[3], static_cast<float*>(p[4]), n, t});
            },
            1e-5);
      }
  Floats targets = numbers(40, 2, 0, 1);
  targets[39] = NAN;
  check_kernel({input(numbers(40, 1)), input(targets), output(1), null(), output_f32(1)},
               [&](const k::Kernels& run, DType t, const Pointers& p) {
                 run.bce_with_logits({p[0], p[1], p[2], nullptr, static_cast<float*>(p[4]), 40, t});
               });
}

namespace {

// Tensors of many sizes, more than one kernel takes as arguments, laid one after another from 16-byte
// addresses or just beside them.
struct Tensors {
  std::vector<i64> sizes, starts;
  i64 all = 0;
  explicit Tensors(i64 gap) {
    for (int i = 0; i < 150; ++i) {
      const i64 n = i == 3 ? 20011 : i == 90 ? 0 : i % 7 == 0 ? 16 + i : i % 3 + 1;
      starts.push_back(all);
      sizes.push_back(n);
      all += (n + 15) / 16 * 16 + gap;
    }
  }
  std::size_t count() const { return sizes.size(); }
};

}  // namespace

TEST_CASE("simt: squared_norms of many tensors, f32 and bf16 mixed") {
  for (const i64 gap : {0, 1}) {
    const Tensors tensors(gap);
    check_kernel(
        {input(numbers(tensors.all, 1)), input_f32(numbers(tensors.all, 2)), output_f32(150)},
        [&](const k::Kernels& run, DType t, const Pointers& p) {
          std::vector<k::SquaredNorms::Item> items;
          for (std::size_t i = 0; i < tensors.count(); ++i) {
            const bool plain = i % 2 != 0;
            const DType type = plain ? DType::f32 : t;
            const auto* base = static_cast<const char*>(p[plain ? 1 : 0]);
            items.push_back(
                {base + static_cast<std::size_t>(tensors.starts[i]) * size_of(type), tensors.sizes[i], type});
          }
          run.squared_norms({items.data(), static_cast<i64>(items.size()), static_cast<float*>(p[2])});
        });
  }
}

TEST_CASE("simt: adamw, with and without averages, copies, gradients and clipping") {
  for (const i64 gap : {0, 1})
    for (const double clip : {0.0, 2.0, 1e6}) {
      CAPTURE(gap);
      CAPTURE(clip);
      const Tensors tensors(gap);
      const auto state = [&](unsigned seed, float low) {
        Operand x = input_f32(numbers(tensors.all, seed, low, 1));
        x.output = true;
        return x;
      };
      Operand copy = input(Floats(static_cast<std::size_t>(tensors.all), 0.0f));
      copy.output = true;
      check_kernel(
          {state(1, -1), state(2, -1), state(3, 0), state(4, -1), copy, input(numbers(tensors.all, 5)),
           input_f32({0.01f, 2.0f, 1.5f, 0.125f}), input_f32(numbers(150, 6, 0, 0.3f))},
          [&](const k::Kernels& run, DType t, const Pointers& p) {
            std::vector<k::AdamW::Item> items;
            for (std::size_t i = 0; i < tensors.count(); ++i) {
              const auto at = static_cast<std::size_t>(tensors.starts[i]);
              const auto f = [&](std::size_t k) { return static_cast<float*>(p[k]) + at; };
              const auto own = [&](std::size_t k) { return static_cast<char*>(p[k]) + at * size_of(t); };
              const bool moves = i % 5 != 4;
              items.push_back({f(0), moves ? f(1) : nullptr, moves ? f(2) : nullptr, i % 3 ? f(3) : nullptr,
                               i % 2 && moves ? own(4) : nullptr, moves ? own(5) : nullptr, tensors.sizes[i],
                               0.5f + static_cast<float>(i % 4), i % 2 ? 0.1f : 0.0f, t});
            }
            run.adamw({items.data(), static_cast<i64>(items.size()), static_cast<const float*>(p[6]),
                       static_cast<const float*>(p[7]), clip, 0.9f, 0.999f, 1e-8f});
          },
          1e-6);
    }
}

TEST_CASE("simt: adamw writes nothing where a gradient is not finite") {
  for (const float bad : {NAN, INFINITY})
    for (const std::size_t where : {std::size_t{0}, std::size_t{299}}) {
      Floats squares(300, 0.5f);
      squares[where] = bad;
      const Block w(input(numbers(100, 1)), DType::f32), m(input(numbers(100, 2)), DType::f32),
          v(input(numbers(100, 3, 0, 1)), DType::f32), grad(input(numbers(100, 4)), DType::f32),
          schedule(input({0.01f, 1, 1, 0.1f}), DType::f32), norms(input(squares), DType::f32);
      const auto f = [](const Block& b) { return static_cast<float*>(b.data()); };
      const std::vector<k::AdamW::Item> items(
          300, {f(w), f(m), f(v), nullptr, nullptr, grad.data(), 100, 1, 0, DType::f32});
      const Floats before[] = {w.read(), m.read(), v.read()};
      simt::backend()->kernels.adamw({items.data(), 300, f(schedule), f(norms), 1, 0.9f, 0.999f, 1e-8f});
      CHECK(w.read() == before[0]);
      CHECK(m.read() == before[1]);
      CHECK(v.read() == before[2]);
    }
}

TEST_CASE("simt: sums over no rows are zero") {
  const i64 cols = 24;
  const Block w(input(numbers(cols, 1)), DType::f32), stats(input(Floats(2 * cols, 1.0f)), DType::f32);
  for (const bool layer : {true, false}) {
    const Block dw(output(cols), DType::f32), db(output(cols), DType::f32);
    const k::Kernels& run = simt::backend()->kernels;
    const auto* given = static_cast<const float*>(stats.data());
    if (layer)
      run.layer_norm_backward(
          {nullptr, w.data(), nullptr, given, nullptr, dw.data(), db.data(), 0, cols, DType::f32});
    else
      run.batch_norm_backward({nullptr, w.data(), w.data(), nullptr, given, nullptr, dw.data(), db.data(), 0,
                               cols, true, k::Act::none, DType::f32});
    CHECK(dw.read() == Floats(cols, 0.0f));
    CHECK(db.read() == Floats(cols, 0.0f));
  }
}
