#include "engine/allocator.h"

#include <doctest/doctest.h>

#include "engine/ops.h"

using namespace bp;

namespace {

Tensor small_network(const Tensor& x, const Tensor& w, const Tensor& wide) {
  const Tensor maps = conv2d(x, w, {}, 2, 1, Act::gelu);
  const Tensor tokens = maps.reshape({maps.dim(0), -1, maps.dim(3)});
  const Tensor y = linear(linear(tokens, wide, {}, Act::relu), permute(wide, {1, 0}), {}, Act::none, tokens);
  return resize_bilinear(softmax(y).reshape(maps.shape()), 33, 20);
}

}  // namespace

TEST_CASE("blocks are aligned and counted") {
  const MemoryStats before = memory_stats();
  {
    const auto block = allocate(1000, {});
    CHECK(reinterpret_cast<std::uintptr_t>(block.get()) % 64 == 0);
    CHECK(memory_stats().live >= before.live + 1000);
  }
  CHECK(memory_stats().live == before.live);
  CHECK(memory_stats().cached >= before.cached);
  release_cached();
  CHECK(memory_stats().cached == 0);
}

TEST_CASE("peak is the largest sum of what was live and cached") {
  release_cached();
  reset_peak();
  const std::size_t base = memory_stats().peak;
  { const auto block = allocate(1 << 20, {}); }
  CHECK(memory_stats().peak >= base + (1 << 20));
  release_cached();
  CHECK(memory_stats().peak >= base + (1 << 20));
  reset_peak();
  CHECK(memory_stats().peak == base);
}

TEST_CASE("the second identical run asks the system for nothing") {
  Tensor x = full({2, 61, 40, 3}, 0.5f), w = full({16, 3, 3, 3}, 0.1f), wide = full({48, 16}, 0.1f);
  const auto inference = [&] { return small_network(x, w, wide).values(); };
  const auto first = inference();
  std::size_t calls = memory_stats().system_calls;
  CHECK(inference() == first);
  CHECK(memory_stats().system_calls == calls);

  for (Tensor* p : {&w, &wide}) p->requires_grad();
  const auto training = [&] {
    for (Tensor* p : {&w, &wide}) p->zero_grad();
    backward(mean(small_network(x, w, wide)));
  };
  training();
  calls = memory_stats().system_calls;
  training();
  CHECK(memory_stats().system_calls == calls);
}

TEST_CASE("an impossible size is an error that names it") {
  CHECK_THROWS_WITH_AS(allocate(std::size_t{1} << 60, {}), doctest::Contains("1152921504606846976"), Error);
}
