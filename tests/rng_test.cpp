#include "engine/rng.h"

#include <doctest/doctest.h>

using namespace bp;

// Known answers published with the Random123 library (philox4x32, 10 rounds).
TEST_CASE("philox gives the published numbers") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) ==
        PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform numbers lie in [0, 1) and fill it evenly") {
  CHECK(uniform(0) == 0.0f);
  CHECK(uniform(0xffffffff) < 1.0f);
  int histogram[8] = {};
  double sum = 0;
  for (std::uint32_t i = 0; i < 20000; ++i)
    for (const std::uint32_t bits : philox({i, 0, 0, 0}, philox_key(7))) {
      sum += uniform(bits);
      ++histogram[static_cast<int>(uniform(bits) * 8)];
    }
  CHECK(sum / 80000 == doctest::Approx(0.5).epsilon(0.01));
  for (const int n : histogram) CHECK(n == doctest::Approx(10000).epsilon(0.05));
}
