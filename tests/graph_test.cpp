// Graphs on a device whose memory only kernels may touch: recorded work does what the same work does at once.
#include "engine/graph.h"

#include <doctest/doctest.h>

#include <limits>

#include "tests/walled_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

constexpr int kSteps = 5;

Tensor image_of(int step) {
  return from_values({2, 8, 8, 3}, wave(384, 0.1 + step));
}
Tensor target_of(int step) {
  return sigmoid(from_values({2, 8, 8, 1}, wave(128, 0.2 + step)));
}

struct Training {
  Net net{kWalled};
  AdamW adamw{net.params, [](const Param&) { return Group{}; }, {.clip = 0.1, .average = 0.5}};
  Tensor images = to(image_of(0), kWalled), targets = to(target_of(0), kWalled), loss;
  std::vector<float> seen;

  void work() {
    loss = bce_with_logits(net(images), targets);
    backward(loss);
    adamw.launch();
  }
  void load(int step) {
    copy_into(images, image_of(step));
    copy_into(targets, target_of(step));
    adamw.begin(0.01 * (step + 1));
  }
  void look() {
    seen.push_back(loss.item());
    seen.push_back(static_cast<float>(adamw.finish()));
  }
  std::vector<float> everything() {
    std::vector<float> all = seen;
    const auto append = [&](const Tensor& x) {
      const std::vector<float> v = x.values();
      all.insert(all.end(), v.begin(), v.end());
    };
    for (const auto& [name, tensor] : adamw.state()) append(tensor);
    for (const Param& p : net.params) append(*p.tensor);
    return all;
  }
};

}  // namespace

TEST_CASE("inference in a graph gives what it gives at once, for every input that is copied in") {
  const Walled walled;
  const NoGrad no_grad;
  Net net(kWalled);
  const auto eager = [&](int i) { return net(to(image_of(i), kWalled)).values(); };
  Tensor x = to(image_of(0), kWalled), y;
  const std::vector<float> mean = net.mean.values();
  const Graph graph = capture(kWalled, [&] { y = net(x); });
  CHECK(net.mean.values() == mean);  // capturing ran nothing
  CHECK(graph.memory() > 0);
  const WalledCalls before = walled_calls();
  graph.launch();
  graph.launch();
  CHECK(walled_calls().allocated == before.allocated);
  CHECK(walled_calls().kernels > before.kernels);
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    copy_into(x, image_of(i));
    graph.launch();
    CHECK(y.values() == eager(i));  // in training BatchNorm's output does not depend on what ran before
  }
}

TEST_CASE("a training step in a graph trains to the same bits") {
  const Walled walled;
  Training eager, graphed;
  for (int i = 0; i < kSteps; ++i) {
    eager.load(i);
    eager.work();
    eager.look();
  }
  const std::vector<float> start = graphed.everything();
  const Graph graph = capture(kWalled, [&] { graphed.work(); });
  CHECK(graphed.everything() == start);
  for (int i = 0; i < kSteps; ++i) {
    graphed.load(i);
    graph.launch();
    graph.check();
    graphed.look();
  }
  CHECK(graphed.everything() == eager.everything());
}

TEST_CASE("a step can be captured between steps that are not") {
  const Walled walled;
  Training eager, mixed;
  Graph graph;
  for (int i = 0; i < kSteps; ++i) {
    for (Training* t : {&eager, &mixed}) t->load(i);
    eager.work();
    if (i == 2) graph = capture(kWalled, [&] { mixed.work(); });
    if (graph.defined())
      graph.launch();
    else
      mixed.work();
    for (Training* t : {&eager, &mixed}) t->look();
  }
  CHECK(mixed.everything() == eager.everything());
}

TEST_CASE("what an op would refuse at once, a graph refuses when it is checked") {
  const Walled walled;
  Training t;
  const Graph graph = capture(kWalled, [&] { t.work(); });
  t.load(1);
  graph.launch();
  graph.check();
  t.look();
  copy_into(t.targets, full({2, 8, 8, 1}, 2));
  t.adamw.begin(0.01);
  graph.launch();
  CHECK_THROWS_WITH_AS(graph.check(), "bce_with_logits: 128 of 128 targets are not in [0,1]", Error);
  t.adamw.finish();

  const std::vector<float> before = t.net.conv.values(),
                           average = t.adamw.state().at("adamw.average.mean").values();
  copy_into(t.targets, target_of(1));
  copy_into(t.images, full({2, 8, 8, 3}, std::numeric_limits<float>::infinity()));
  const i64 steps = t.adamw.steps();
  t.adamw.begin(0.01);
  graph.launch();
  CHECK_THROWS_WITH_AS(t.adamw.finish(), doctest::Contains("adamw: step 3: the gradient of "), Error);
  CHECK(t.adamw.steps() == steps);
  CHECK(t.net.conv.values() == before);
  CHECK(t.adamw.state().at("adamw.average.mean").values() == average);
}

TEST_CASE("a graph's memory is its own, and goes with it and with what was kept of it") {
  const Walled walled;
  release_cached(kWalled);
  const std::size_t live = memory_stats(kWalled).live;
  {
    Tensor kept;
    const Tensor x = full({1000}, 3, DType::f32, kWalled);
    {
      const Graph graph = capture(kWalled, [&] { kept = relu(gelu(x)); });
      graph.launch();
      const Tensor other = full({1000}, 7, DType::f32, kWalled);  // must not get what the graph writes to
      graph.launch();
      CHECK(other.values() == std::vector<float>(1000, 7));
      CHECK(memory_stats(kWalled).live >= live + graph.memory());
    }
    CHECK(kept.values() == relu(gelu(x)).values());
  }
  CHECK(memory_stats(kWalled).live == live);
}

TEST_CASE("the emulator has graphs, too") {
  const Device simt = parse_device("simt");
  const Tensor x = full({300}, 1, DType::f32, simt);
  Tensor y;
  const Graph graph = capture(simt, [&] { y = add(affine(x, 2, 1), gelu(x)); });
  for (const float value : {0.5f, -2.0f}) {
    copy_into(x, full({300}, value));
    graph.launch();
    CHECK(y.values() == add(affine(x, 2, 1), gelu(x)).values());
  }
}

TEST_CASE("the memory that work needs is known without taking any") {
  const Walled walled;
  Training t;
  const std::size_t live = memory_stats(kWalled).live;
  const std::size_t needed = memory_needed(kWalled, [&] { t.work(); });
  t.loss = {};
  CHECK(memory_stats(kWalled).live == live);
  const Graph graph = capture(kWalled, [&] { t.work(); });
  CHECK(graph.memory() == needed);
  CHECK_THROWS_WITH_AS(memory_needed(kHost, [] {}), "graph: the processor has none", Error);
}

TEST_CASE("what cannot be recorded is refused, and the device works on") {
  const Walled walled;
  const Tensor x = full({4}, 1, DType::f32, kWalled);
  const auto refused = [&](const std::function<void()>& f, const char* says) {
    CAPTURE(says);
    CHECK_THROWS_WITH_AS(capture(kWalled, f), doctest::Contains(says), Error);
    CHECK(gelu(x).values() == gelu(full({4}, 1)).values());
    Tensor y;
    const Graph graph = capture(kWalled, [&] { y = gelu(x); });
    graph.launch();
    CHECK(y.values() == gelu(x).values());
  };
  refused([&] { x.values(); }, "graph: values are wanted on the host while it is captured");
  refused([&] { from_values({1}, std::vector<float>{1}, DType::f32, kWalled); },
          "graph: values of the host are wanted on the device while it is captured");
  refused([&] { synchronize(kWalled); }, "graph: something waits for the device while it is captured");
  refused([&] { capture(kWalled, [] {}); }, "graph: another one is being captured");
  refused([] { fail("f's own error"); }, "f's own error");
  int runs = 0;
  refused([&] { zeros({++runs * 100}, DType::f32, kWalled); },
          "that were not asked for when its memory was planned");
  CHECK(runs == 3);
  CHECK_THROWS_WITH_AS(capture(kHost, [] {}), "graph: the processor has none, call the function itself",
                       Error);
  CHECK_THROWS_WITH_AS(Graph().launch(), "graph: nothing was captured", Error);
}
