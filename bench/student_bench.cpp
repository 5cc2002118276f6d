// The student: its trunk and its whole forward as `locate` runs it, and one step of its training.
#include "bench/counters.h"
#include "nets/student/student.h"

namespace bp::bench {
namespace {

using benchmark::State;

// Multiply-adds at 224 x 224 (`boxprompt model student`).
constexpr double kTrunk = 1.255e9, kStudent = 1.45e9;

void student_forward(State& state) {
  student::Student net;
  student::initialise(net.params(), 1);
  place(net.params());
  net.fold();
  const i64 n = state.range(0);
  const Tensor image = random("image", {n, 224, 224, 3}, 2.0);
  measure(state, [&] { return net(image); });
  count(state, kStudent * static_cast<double>(n), 0);
}

void trunk_forward(State& state) {
  tiny_vit::TinyVit net;
  Params params;
  net.collect(params);
  student::initialise(params, 1);
  place(params);
  net.fold();
  const i64 n = state.range(0);
  const Tensor image = random("image", {n, 224, 224, 3}, 2.0);
  measure(state, [&] { return net(image); });
  count(state, kTrunk * static_cast<double>(n), 0);
}

// Forward, backward and AdamW.
void student_step(State& state) {
  student::Student net;
  const Params params = net.params();
  student::initialise(params, 1);
  place(params);
  net.train();
  require_grad(params);
  AdamW adamw(params,
              [](const Param& p) {
                return Group{student::decays(p), 1};
              },
              {.clip = 1, .average = 0.999});
  const i64 n = state.range(0);
  const Tensor image = random("image", {n, 224, 224, 3}, 2.0),
               mask = sigmoid(random("mask", {n, 224, 224, 1}, 4.0));
  measure(state, [&] {
    backward(bce_with_logits(net(image), mask));
    return adamw.step(1e-5);
  });
  count(state, 3 * kStudent * static_cast<double>(n), 0);
}

BENCHMARK(trunk_forward)
    ->ArgName("batch")
    ->Arg(1)
    ->Arg(8)
    ->Arg(64)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();
BENCHMARK(student_forward)
    ->ArgName("batch")
    ->Arg(1)
    ->Arg(8)
    ->Arg(64)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();
BENCHMARK(student_step)->ArgName("batch")->Arg(16)->Arg(64)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace bp::bench
