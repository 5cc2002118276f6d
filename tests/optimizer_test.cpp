// AdamW beside a plain double-precision account of it, beside PyTorch's numbers, resumed, and in bf16; the
// schedule beside its formula.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/ops.h"
#include "engine/optimizer.h"
#include "kernels/threads.h"

using namespace bp;

namespace {

// A net of some parameters, and gradients that are a function of parameter, index and step.
struct Toy {
  std::vector<Tensor> tensors;
  Params params;

  explicit Toy(const std::vector<i64>& sizes, DType dtype = DType::f32) : tensors(sizes.size()) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      std::vector<float> values;
      for (i64 j = 0; j < sizes[i]; ++j) values.push_back(static_cast<float>(std::sin(3.1 * j + i)));
      tensors[i] = from_values({sizes[i]}, values, dtype).requires_grad();
      params.push_back({"p" + std::to_string(i), {sizes[i]}, Layout::as_is, &tensors[i]});
    }
  }
  static double gradient(std::size_t which, i64 at, int step) {
    return std::nearbyint(32 *
                          std::sin(1.7 * static_cast<double>(at) + 0.9 * step + static_cast<double>(which))) /
           16;
  }
  void give_gradients(int step) {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      std::vector<float> g;
      for (i64 j = 0; j < tensors[i].numel(); ++j) g.push_back(static_cast<float>(gradient(i, j, step)));
      backward(tensors[i], from_values(tensors[i].shape(), g, tensors[i].dtype()));
    }
  }
};

// p0 decays, p1 does not and learns at half the rate.
Group group(const Param& p) {
  return p.name == "p1" ? Group{false, 0.5f} : Group{};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.numel()) * size_of(a.dtype())) == 0;
}

}  // namespace

TEST_CASE("adamw follows its formulas, in double, with decay, clipping and an average") {
  // Sizes around vectors and around the pieces that threads take.
  const std::vector<i64> sizes{8192 + 37, 3, 1, 16, 20000};
  for (const double clip : {0.0, 0.5}) {
    CAPTURE(clip);
    Toy toy(sizes);
    std::vector<std::vector<double>> w, m, v, average;
    for (const Tensor& t : toy.tensors) {
      const auto values = t.values();
      w.emplace_back(values.begin(), values.end());
      m.emplace_back(values.size());
      v.emplace_back(values.size());
    }
    average = w;
    const AdamWOptions options{
        .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1, .clip = clip, .average = 0.4};
    AdamW adamw(toy.params, group, options);
    for (int t = 1; t <= 6; ++t) {
      CAPTURE(t);
      const double lr = 0.02 * t;
      toy.give_gradients(t);
      double square = 0;
      for (std::size_t i = 0; i < sizes.size(); ++i)
        for (i64 j = 0; j < sizes[i]; ++j) square += std::pow(Toy::gradient(i, j, t), 2);
      CHECK(adamw.step(lr) == doctest::Approx(std::sqrt(square)).epsilon(1e-6));
      const double scale = clip > 0 ? std::min(1.0, clip / std::sqrt(square)) : 1.0;
      const double decay_of_average = t == 1   ? 2.0 / 11
                                      : t == 2 ? 3.0 / 12
                                      : t == 3 ? 4.0 / 13
                                      : t == 4 ? 5.0 / 14
                                               : 0.4;
      double error = 0, average_error = 0;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        const double rate = i == 1 ? lr / 2 : lr, decay = i == 1 ? 0 : 0.1;
        const auto got = toy.tensors[i].values();
        const auto got_average = adamw.state().at("adamw.average.p" + std::to_string(i)).values();
        for (std::size_t j = 0; j < w[i].size(); ++j) {
          const double g = scale * Toy::gradient(i, static_cast<i64>(j), t);
          m[i][j] = 0.8 * m[i][j] + 0.2 * g;
          v[i][j] = 0.95 * v[i][j] + 0.05 * g * g;
          w[i][j] -= rate * decay * w[i][j];
          w[i][j] -= rate * (m[i][j] / (1 - std::pow(0.8, t))) /
                     (std::sqrt(v[i][j] / (1 - std::pow(0.95, t))) + 1e-3);
          average[i][j] = decay_of_average * average[i][j] + (1 - decay_of_average) * w[i][j];
          error = std::max(error, std::abs(w[i][j] - static_cast<double>(got[j])));
          average_error =
              std::max(average_error, std::abs(average[i][j] - static_cast<double>(got_average[j])));
        }
        CHECK(!toy.tensors[i].grad().defined());
      }
      CHECK(error < 2e-6);
      CHECK(average_error < 2e-6);
    }
    CHECK(adamw.steps() == 6);
  }
}

TEST_CASE("adamw walks as PyTorch's") {
  // torch.optim.AdamW 1.13 in f32 with clip_grad_norm_(1.0), weight decay 0.05 on w and none on b, learning
  // rate 1e-2 t / 10, gradients sin(1.7 i + 0.9 t) (i + 1) / 4 of w and cos(2.3 i + 0.7 t) (i + 1) / 4 of b
  // in multiples of 1/64.
  Tensor w = from_values({5}, std::vector<float>{0.5f, -1.25f, 2.0f, 0.03125f, -0.75f}).requires_grad();
  Tensor b = from_values({2}, std::vector<float>{0.25f, -0.5f}).requires_grad();
  AdamW adamw({{"w", {5}, Layout::as_is, &w}, {"b", {2}, Layout::as_is, &b}},
              [](const Param& p) {
                return Group{p.name == "w", 1};
              },
              {.weight_decay = 0.05, .clip = 1});
  struct Point {
    int step;
    double norm;
    std::vector<double> w, b;
  };
  const Point points[] = {{1,
                           1.569826602935791,
                           {0.498975009, -1.25093758, 2.00090003, 0.0322484374, -0.750962496},
                           {0.248999998, -0.499000013}},
                          {3,
                           1.1403038501739502,
                           {0.493985027, -1.24910784, 2.00504184, 0.0292435233, -0.754902959},
                           {0.247096002, -0.494222313}},
                          {10,
                           1.2487298250198364,
                           {0.484963179, -1.24041069, 2.00597692, 0.0223533176, -0.757318795},
                           {0.256904334, -0.496079147}}};
  for (int t = 1; t <= 10; ++t) {
    CAPTURE(t);
    std::vector<float> dw, db;
    for (int i = 0; i < 5; ++i)
      dw.push_back(static_cast<float>(std::nearbyint(std::sin(1.7 * i + 0.9 * t) * (i + 1) * 16) / 64));
    for (int i = 0; i < 2; ++i)
      db.push_back(static_cast<float>(std::nearbyint(std::cos(2.3 * i + 0.7 * t) * (i + 1) * 16) / 64));
    backward(w, from_values({5}, dw));
    backward(b, from_values({2}, db));
    const double norm = adamw.step(1e-2 * t / 10);
    for (const Point& p : points) {
      if (p.step != t) continue;
      CHECK(norm == doctest::Approx(p.norm).epsilon(1e-6));
      for (std::size_t i = 0; i < 5; ++i) CHECK(std::abs(w.values()[i] - p.w[i]) < 4e-7);
      for (std::size_t i = 0; i < 2; ++i) CHECK(std::abs(b.values()[i] - p.b[i]) < 4e-7);
    }
  }
}

TEST_CASE("a resumed run goes on as the undisturbed one, to the bit, on any number of threads") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    const std::vector<i64> sizes{30000, 5};
    const AdamWOptions options{.clip = 0.5, .average = 0.9};
    Toy whole(sizes, dtype), part(sizes, dtype), rest(sizes, dtype);
    AdamW undisturbed(whole.params, group, options), first(part.params, group, options),
        second(rest.params, group, options);
    const auto steps = [](Toy& toy, AdamW& adamw, int from, int to) {
      for (int t = from; t <= to; ++t) {
        toy.give_gradients(t);
        adamw.step(0.01);
      }
    };
    set_threads(1);
    steps(whole, undisturbed, 1, 8);
    set_threads(3);
    steps(part, first, 1, 4);
    NamedTensors saved;  // as a file would: values without the memory
    for (const auto& [name, tensor] : first.state()) {
      Tensor copy = empty(tensor.shape(), tensor.dtype());
      std::memcpy(copy.raw(), tensor.raw(), static_cast<std::size_t>(tensor.numel()) * 4);
      saved.emplace(name, copy);
    }
    for (std::size_t i = 0; i < sizes.size(); ++i)
      std::memcpy(rest.tensors[i].raw(), part.tensors[i].raw(),
                  static_cast<std::size_t>(sizes[i]) * size_of(dtype));
    steps(part, first, 5, 5);  // what happens after a checkpoint must not change it
    second.load_state(saved);
    CHECK(second.steps() == 4);
    steps(rest, second, 5, 8);
    for (std::size_t i = 0; i < sizes.size(); ++i) CHECK(same_bits(whole.tensors[i], rest.tensors[i]));
    for (const auto& [name, tensor] : undisturbed.state()) {
      CAPTURE(name);
      CHECK(same_bits(tensor, second.state().at(name)));
    }
  }
  set_threads(0);
}

TEST_CASE("bf16 parameters follow master weights, which small steps do not pass by") {
  Tensor p = full({19}, 1, DType::bf16).requires_grad();
  AdamW adamw({{"p", {19}, Layout::as_is, &p}}, [](const Param&) { return Group{false, 1}; });
  for (int t = 0; t < 20; ++t) {  // of 1e-3 each, where an ulp below 1 is 4e-3
    backward(p, full({19}, 1, DType::bf16));
    adamw.step(1e-3);
  }
  for (float v : adamw.state().at("adamw.master.p").values()) CHECK(v == doctest::Approx(0.98).epsilon(1e-4));
  for (float v : p.values()) CHECK(v == to_f32(to_bf16(0.98f)));
}

TEST_CASE("statistics enter the average only, and frozen parameters stay") {
  Tensor w = full({3}, 1).requires_grad(), frozen = full({3}, 1), mean = full({3}, 5);
  AdamW adamw({{"w", {3}, Layout::as_is, &w},
               {"frozen", {3}, Layout::as_is, &frozen},
               {"mean", {3}, Layout::as_is, &mean, false}},
              [](const Param&) { return Group{}; }, {.average = 0.5});
  mean.data<float>()[0] = 16;
  backward(sum(w));
  adamw.step(0.1);
  CHECK(w.values()[0] < 1);
  CHECK(frozen.values() == std::vector<float>(3, 1));
  CHECK(mean.values()[0] == 16);
  CHECK(adamw.state().at("adamw.average.mean").values()[0] == doctest::Approx(5 + 9.0 / 11 * 11));
  CHECK(adamw.state().count("adamw.m.mean") == 0);
  const float after = w.values()[0], average = adamw.state().at("adamw.average.w").values()[0];
  {
    const UseAverage use(adamw);
    CHECK(w.values()[0] == average);
    CHECK(mean.values()[0] == doctest::Approx(14));
    CHECK(!w.tracks_grad());
  }
  CHECK(w.values()[0] == after);
  CHECK(w.tracks_grad());
}

TEST_CASE("a gradient that is not finite stops the step before anything changes") {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Toy toy({4, 20000});
    AdamW adamw(toy.params, group);
    toy.give_gradients(1);
    adamw.step(0.1);
    toy.give_gradients(2);
    toy.tensors[1].grad().data<float>()[19999] = bad;
    const auto before = toy.tensors[0].values();
    CHECK_THROWS_WITH_AS(adamw.step(0.1), "adamw: step 2: the gradient of p1 is not finite", Error);
    CHECK(toy.tensors[0].values() == before);
    CHECK(adamw.steps() == 1);
  }
}

TEST_CASE("a state of something else is refused before anything changes") {
  Toy toy({4, 5});
  AdamW adamw(toy.params, group);
  toy.give_gradients(1);
  adamw.step(0.1);
  const auto before = adamw.state().at("adamw.m.p0").values();
  const auto refused = [&](auto change, const char* says) {
    NamedTensors state;
    for (const auto& [name, tensor] : adamw.state())
      state.emplace(name, name == "adamw.step" ? tensor : full(tensor.shape(), 7));
    change(state);
    CHECK_THROWS_WITH_AS(adamw.load_state(state), doctest::Contains(says), Error);
    CHECK(adamw.state().at("adamw.m.p0").values() == before);
  };
  refused([](NamedTensors& s) { s.erase("adamw.v.p1"); }, "the state has no adamw.v.p1");
  refused([](NamedTensors& s) { s["adamw.v.p1"] = zeros({4}); },
          "adamw.v.p1 of another shape or type, wanted [5]");
  refused([](NamedTensors& s) { s["adamw.v.p1"] = zeros({5}, DType::bf16); }, "of another shape or type");
  refused([](NamedTensors& s) { s["adamw.m.p9"] = zeros({5}); }, "holds adamw.m.p9");
  refused([](NamedTensors& s) { s["adamw.step"] = full({1}, -1, DType::i32); }, "step -1");
  CHECK_THROWS_WITH_AS(AdamW(toy.params, group, {.beta1 = 1}), doctest::Contains("betas 1 and 0.999"), Error);
  Tensor none;
  CHECK_THROWS_WITH_AS(AdamW({{"none", {1}, Layout::as_is, &none}}, group), "adamw: none has no values yet",
                       Error);
}

TEST_CASE("the schedule warms up, falls along a cosine and stays at its floor") {
  const Schedule s{.peak = 1e-3, .floor = 1e-5, .warmup = 10, .total = 110};
  CHECK(learning_rate(s, 0) == doctest::Approx(1e-4));
  CHECK(learning_rate(s, 4) == doctest::Approx(5e-4));
  CHECK(learning_rate(s, 9) == doctest::Approx(1e-3));
  CHECK(learning_rate(s, 10) == doctest::Approx(1e-3));
  CHECK(learning_rate(s, 35) == doctest::Approx(1e-5 + 9.9e-4 * (1 + std::sqrt(0.5)) / 2));
  CHECK(learning_rate(s, 60) == doctest::Approx(5.05e-4));
  CHECK(learning_rate(s, 110) == doctest::Approx(1e-5));
  CHECK(learning_rate(s, 5000) == doctest::Approx(1e-5));
  CHECK(learning_rate({.peak = 1, .floor = 0, .warmup = 0, .total = 1}, 0) == 1);
  CHECK_THROWS_WITH_AS(learning_rate({.peak = 1, .floor = 0, .warmup = 5, .total = 5}, 0),
                       doctest::Contains("5 of 5 steps"), Error);
  CHECK_THROWS_WITH_AS(learning_rate(s, -1), "schedule: step -1", Error);
}
