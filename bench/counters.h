// How benchmarks report: operations and bytes are counted by formula from the shapes, rates are theirs over
// wall time.
#pragma once
#include <benchmark/benchmark.h>

#include <chrono>

#include "engine/ops.h"
#include "engine/param.h"
#include "weights/procedural.h"

namespace bp::bench {

// Where and in which type everything is timed: the command line's --device and --dtype.
struct Setting {
  Device device;
  DType dtype = DType::f32;
};
inline Setting& setting() {
  static Setting given;
  return given;
}

inline Tensor on_device(const Tensor& x) {
  return to(x.dtype() == DType::f32 && setting().dtype == DType::bf16 ? cast(x, DType::bf16) : x,
            setting().device);
}
inline Tensor random(const char* name, const Shape& shape, double scale = 1.0) {
  return on_device(procedural(name, shape, {}, {0.0, scale}));
}

// A network's parameters, there and in that type.
inline void place(const Params& params) {
  to_dtype(params, setting().dtype);
  to_device(params, setting().device);
}

// Times body: on the processor each call, elsewhere a row of calls, since a device is asked for more before
// it is done. The first call is not timed: it fills caches of memory and of plans.
template <class Body>
void measure(benchmark::State& state, const Body& body) {
  using Clock = std::chrono::steady_clock;
  const Device device = setting().device;
  const int calls = device.type == Device::Type::cuda ? 10 : 1;
  benchmark::DoNotOptimize(body());
  synchronize(device);
  for (auto _ : state) {
    const auto begin = Clock::now();
    for (int i = 0; i < calls; ++i) benchmark::DoNotOptimize(body());
    synchronize(device);
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - begin).count() / calls);
  }
}

// multiply_adds: of one iteration (two operations each). bytes: read and written at least once.
inline void count(benchmark::State& state, double multiply_adds, double bytes) {
  using benchmark::Counter;
  if (multiply_adds > 0)
    state.counters["GFLOP/s"] = Counter(2e-9 * multiply_adds, Counter::kIsIterationInvariantRate);
  if (bytes > 0) state.counters["GB/s"] = Counter(1e-9 * bytes, Counter::kIsIterationInvariantRate);
}

}  // namespace bp::bench
