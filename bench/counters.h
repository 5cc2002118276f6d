// How benchmarks report: operations and bytes are counted by formula from the shapes, rates are theirs over
// wall time.
#pragma once
#include <benchmark/benchmark.h>

#include "engine/ops.h"
#include "weights/procedural.h"

namespace bp::bench {

inline Tensor random(const char* name, const Shape& shape, double scale = 1.0) {
  return procedural(name, shape, {}, {0.0, scale});
}

// multiply_adds: of one iteration (two operations each). bytes: read and written at least once.
inline void count(benchmark::State& state, double multiply_adds, double bytes) {
  using benchmark::Counter;
  if (multiply_adds > 0)
    state.counters["GFLOP/s"] = Counter(2e-9 * multiply_adds, Counter::kIsIterationInvariantRate);
  if (bytes > 0) state.counters["GB/s"] = Counter(1e-9 * bytes, Counter::kIsIterationInvariantRate);
}

}  // namespace bp::bench
