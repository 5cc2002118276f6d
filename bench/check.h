// Whether a version computes what it should.
#pragma once
#include "bench/place.h"

namespace bp::bench {

// Largest difference from the reference, relative to the largest value of the same output.
// NaN where a value is NaN that should not be.
double error_of(const std::vector<float>& got, const std::vector<float>& wanted);

// A problem of given values on a device and, in f32, its results by the CPU's kernel in use.
class Checker {
 public:
  Checker(const Place& place, const Problem& problem, const Problem& in_f32);

  // Runs a version that takes the problem once and compares all outputs with the reference.
  double error(const Version& version);
  double seconds() const { return seconds_; }  // that the last run took, checking apart
  // The device's operands, as the last run left them.
  Operands& operands() { return operands_; }
  const std::vector<std::vector<float>>& values() const { return values_; }

 private:
  const std::vector<std::vector<float>>& wanted();

  const Place& place_;
  Problem problem_, in_f32_;
  std::vector<std::vector<float>> values_, wanted_;
  Operands operands_;
  double seconds_ = 0;
};

// The largest error that is rounding. f32 products of 3072 terms come to some 1e-6; TF32 to 1e-3. In bf16
// results are rounded to 2^-9 of their value, and softmax's weights are on the way.
inline double allowed_error(DType t) {
  return t == DType::f32 ? 1e-4 : 1e-2;
}

}  // namespace bp::bench
