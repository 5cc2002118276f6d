// The table of op cases, run in several modes: against the references in f32 and bf16, gradients against
// finite differences of the references, and bit for bit over thread counts. All but the last on any device
// (test_device.h).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/threads.h"
#include "tests/op_cases.h"
#include "tests/test_device.h"

using namespace bp;
using namespace bp::testing;

namespace {

const Device kDevice = test_device();

// Uniform numbers that depend on the seed and the index alone, exact in f32.
Array random_array(const Shape& shape, std::uint64_t seed, double low, double high) {
  Array x(shape);
  for (i64 i = 0; i < x.numel(); ++i) {
    std::uint64_t z = (seed + 1) * 0x9E3779B97F4A7C15u + static_cast<std::uint64_t>(i) * 0xD1B54A32D192ED03u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    x.at(i) = static_cast<float>(low + (high - low) * static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53);
  }
  return x;
}

std::vector<Array> inputs_of(const Case& c) {
  std::vector<Array> inputs;
  for (const Shape& s : c.inputs) inputs.push_back(random_array(s, inputs.size(), c.low, c.high));
  return inputs;
}

Tensor to_tensor(const Array& x, DType dtype, Device device) {
  return from_values(x.shape, std::vector<float>(x.data.begin(), x.data.end()), dtype, device);
}

std::vector<Tensor> to_tensors(const std::vector<Array>& arrays, DType dtype, Device device) {
  std::vector<Tensor> tensors;
  for (const Array& x : arrays) tensors.push_back(to_tensor(x, dtype, device));
  return tensors;
}

Array rounded_to_bf16(Array x) {
  for (double& v : x.data) v = to_f32(to_bf16(static_cast<float>(v)));
  return x;
}

double largest(const Array& x) {
  double m = 0;
  for (double v : x.data) m = std::max(m, std::abs(v));
  return m;
}

// Largest difference; infinite where the tensor holds anything but numbers.
double distance(const Tensor& y, const Array& reference) {
  REQUIRE(y.shape() == reference.shape);
  const std::vector<float> values = y.values();
  double m = 0;
  for (i64 i = 0; i < reference.numel(); ++i) {
    const double d = std::abs(static_cast<double>(values[static_cast<std::size_t>(i)]) - reference.at(i));
    m = std::isfinite(d) ? std::max(m, d) : INFINITY;
  }
  return m;
}

// Rounding of a sum of n terms grows like sqrt(n) ulps; the constant is for the function around it.
double f32_tolerance(const Case& c, double magnitude) {
  return 0x1p-24 * (8 + 2 * std::sqrt(static_cast<double>(c.terms))) * c.slack * magnitude;
}

// The output and the gradients of all inputs for a given seed.
std::vector<Tensor> run_with_gradients(const Case& c, const std::vector<Array>& inputs, const Array& seed,
                                       DType dtype, Device device) {
  std::vector<Tensor> tensors = to_tensors(inputs, dtype, device), results;
  for (Tensor& t : tensors) t.requires_grad();
  const Tensor y = c.op(tensors);
  results.push_back(y.detach());
  backward(y, to_tensor(seed, dtype, device));
  for (const Tensor& t : tensors) results.push_back(t.grad());
  return results;
}

// Gradients below this are what was left of larger terms (seeds are up to 1) that cancelled, with their
// rounding.
constexpr double kSmallGradient = 0.1;

Array seed_for(const Shape& y) {
  return random_array(y, 99, -1, 1);
}

double dot(const Array& a, const Array& b) {
  double sum = 0;
  for (i64 i = 0; i < a.numel(); ++i) sum += a.at(i) * b.at(i);
  return sum;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.numel()) * size_of(a.dtype())) == 0;
}

}  // namespace

TEST_CASE("ops agree with their references in f32") {
  for (const Case& c : op_cases()) {
    CAPTURE(c.name);
    const std::vector<Array> inputs = inputs_of(c);
    const Array reference = c.reference(inputs);
    const double error = distance(c.op(to_tensors(inputs, DType::f32, kDevice)), reference);
    CHECK(error <= f32_tolerance(c, largest(reference)));
  }
}

// A plain bf16 implementation is one that computes exactly and rounds its result.
TEST_CASE("ops in bf16 err at most twice as much as a plain implementation, and an ulp") {
  for (const Case& c : op_cases()) {
    CAPTURE(c.name);
    std::vector<Array> inputs;
    for (const Array& x : inputs_of(c)) inputs.push_back(rounded_to_bf16(x));
    const Array reference = c.reference(inputs), plain = rounded_to_bf16(reference);
    double plain_error = 0;
    for (i64 i = 0; i < plain.numel(); ++i)
      plain_error = std::max(plain_error, std::abs(plain.at(i) - reference.at(i)));
    const double error = distance(c.op(to_tensors(inputs, DType::bf16, kDevice)), reference);
    CHECK(error <= 2 * plain_error + std::exp2(std::floor(std::log2(largest(reference) + 1e-30)) - 7));
  }
}

TEST_CASE("gradients agree with finite differences of the references") {
  for (const Case& c : op_cases()) {
    if (!c.gradient) continue;
    CAPTURE(c.name);
    std::vector<Array> inputs = inputs_of(c);
    const Array reference = c.reference(inputs), seed = seed_for(reference.shape);
    const std::vector<Tensor> results = run_with_gradients(c, inputs, seed, DType::f32, kDevice);
    // What is recorded for a backward may be composed of other kernels than plain inference.
    CHECK(distance(results[0], reference) <= f32_tolerance(c, largest(reference)));

    for (std::size_t which = 0; which < inputs.size(); ++which) {
      CAPTURE(which);
      REQUIRE(results[which + 1].defined());
      REQUIRE(results[which + 1].shape() == inputs[which].shape);
      const std::vector<float> analytic = results[which + 1].values();
      const double magnitude = std::abs(static_cast<double>(*std::max_element(
          analytic.begin(), analytic.end(), [](float a, float b) { return std::abs(a) < std::abs(b); })));
      REQUIRE(std::isfinite(magnitude));
      const i64 n = inputs[which].numel(), samples = std::min<i64>(n, c.samples);
      for (i64 s = 0; s < samples; ++s) {
        const i64 i = samples == n ? s : (s * 7919 + 13) * n / (samples * 7919) % n;
        CAPTURE(i);
        constexpr double step = 1e-5;
        double& x = inputs[which].at(i);
        const double before = x;
        x = before + step;
        const double above = dot(c.reference(inputs), seed);
        x = before - step;
        const double below = dot(c.reference(inputs), seed);
        x = before;
        const double numeric = (above - below) / (2 * step);
        const double error = std::abs(static_cast<double>(analytic[static_cast<std::size_t>(i)]) - numeric);
        CHECK(error <= 5e-6 * c.slack * std::max(magnitude, kSmallGradient));
      }
    }
  }
}

TEST_CASE("gradients in bf16 stay near those in f32") {
  for (const Case& c : op_cases()) {
    if (!c.gradient) continue;
    CAPTURE(c.name);
    std::vector<Array> inputs;
    for (const Array& x : inputs_of(c)) inputs.push_back(rounded_to_bf16(x));
    const Array seed = rounded_to_bf16(seed_for(c.reference(inputs).shape));
    const std::vector<Tensor> exact = run_with_gradients(c, inputs, seed, DType::f32, kDevice);
    const std::vector<Tensor> coarse = run_with_gradients(c, inputs, seed, DType::bf16, kDevice);
    for (std::size_t i = 1; i < exact.size(); ++i) {
      CAPTURE(i);
      const std::vector<float> values = exact[i].values();
      Array expected(exact[i].shape());
      std::copy(values.begin(), values.end(), expected.data.begin());
      CHECK(distance(coarse[i], expected) <= 0x1p-6 * c.slack * std::max(largest(expected), kSmallGradient));
    }
  }
}

TEST_CASE("results do not depend on the number of threads, to the bit") {
  if (kDevice != Device{}) return;
  for (const Case& c : op_cases()) {
    CAPTURE(c.name);
    const std::vector<Array> inputs = inputs_of(c);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(name_of(dtype));
      std::vector<Tensor> first;
      for (const int n : {1, 2, 3}) {
        CAPTURE(n);
        set_threads(n);
        std::vector<Tensor> results{c.op(to_tensors(inputs, dtype, kDevice))};
        if (c.gradient)
          for (const Tensor& t : run_with_gradients(c, inputs, seed_for(results[0].shape()), dtype, kDevice))
            results.push_back(t);
        if (n == 1) first = results;
        REQUIRE(results.size() == first.size());
        for (std::size_t i = 0; i < results.size(); ++i) CHECK(same_bits(results[i], first[i]));
      }
    }
  }
  set_threads(0);
}
