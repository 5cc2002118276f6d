// Comparing a kernel on the emulator with the same kernel of the CPU: arrays in watched memory, references in
// f32, and how far from them a result may be.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "kernels/simt/backend.h"
#include "kernels/simt/order.h"
#include "tests/simt_orders.h"

namespace bp::testing {

using Floats = std::vector<float>;

// n numbers in [-1, 1), the same for the same seed.
inline Floats numbers(i64 n, unsigned seed) {
  Floats x(static_cast<std::size_t>(n));
  std::uint32_t state = seed * 2654435761u + 12345u;
  for (float& v : x) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1;
  }
  return x;
}

// A copy of the values as the dtype holds them.
inline Floats rounded(Floats x, DType dtype) {
  if (dtype == DType::bf16)
    for (float& v : x) v = to_f32(to_bf16(v));
  return x;
}

// Floats in memory of the emulated device, beginning `skip` elements behind an aligned address and ending
// where the memory does. Without values they are NaN.
class DeviceArray {
 public:
  DeviceArray(i64 n, DType dtype, i64 skip = 0)
      : n_(static_cast<std::size_t>(n)),
        dtype_(dtype),
        block_(simt::backend()->allocate(static_cast<std::size_t>(n + skip) * size_of(dtype)),
               simt::backend()->release),
        data_(static_cast<char*>(block_.get()) + static_cast<std::size_t>(skip) * size_of(dtype)) {}
  DeviceArray(const Floats& values, DType dtype, i64 skip = 0)
      : DeviceArray(static_cast<i64>(values.size()), dtype, skip) {
    set(values);
  }
  void set(const Floats& values) {
    for (std::size_t i = 0; i < n_; ++i) {
      if (dtype_ == DType::f32)
        static_cast<float*>(data_)[i] = values[i];
      else
        static_cast<bf16*>(data_)[i] = to_bf16(values[i]);
    }
  }
  Floats values() const {
    Floats x(n_);
    for (std::size_t i = 0; i < n_; ++i)
      x[i] = dtype_ == DType::f32 ? static_cast<const float*>(data_)[i]
                                  : to_f32(static_cast<const bf16*>(data_)[i]);
    return x;
  }
  void* data() const { return data_; }

 private:
  std::size_t n_;
  DType dtype_;
  std::shared_ptr<void> block_;
  void* data_;
};

// The largest difference between a result and its reference, computed in f32 from the same inputs, in units
// of what is allowed: in bf16 twice what rounding alone may cost, in both types a few roundings of f32 among
// terms as large as the largest result. NaN and results of another length are infinitely far.
inline float distance(const Floats& got, const Floats& wanted, DType dtype) {
  if (got.size() != wanted.size()) return INFINITY;
  float scale = 0, worst = 0;
  for (const float v : wanted) scale = std::max(scale, std::abs(v));
  const float relative = dtype == DType::bf16 ? 0x1p-7f : 1e-5f;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const float allowed = relative * std::abs(wanted[i]) + 1e-5f * scale + 1e-30f;
    const float d = std::abs(got[i] - wanted[i]) / allowed;
    worst = d <= worst ? worst : std::isnan(d) ? INFINITY : d;
  }
  return worst;
}

}  // namespace bp::testing
