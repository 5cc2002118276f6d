// A stream of random numbers that belongs to one purpose of one sample: seed, sample and purpose name it, so
// no order of calls elsewhere can change it.
#pragma once
#include "engine/rng.h"
#include "kernels/dtype.h"

namespace bp {

class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t sample, std::uint32_t purpose)
      : key_(philox_key(seed)),
        counter_{0, static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(sample >> 32), purpose} {}

  std::uint32_t bits() {
    if (used_ == 4) {
      values_ = philox(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return values_[used_++];
  }
  double uniform() { return static_cast<double>(bp::uniform(bits())); }  // [0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  i64 integer(i64 low, i64 high) {  // [low, high], both included
    return low + static_cast<i64>((std::uint64_t{bits()} * static_cast<std::uint64_t>(high - low + 1)) >> 32);
  }
  bool chance(double probability) { return uniform() < probability; }

 private:
  PhiloxKey key_;
  PhiloxCounter counter_;
  PhiloxCounter values_{};
  std::size_t used_ = 4;
};

}  // namespace bp
