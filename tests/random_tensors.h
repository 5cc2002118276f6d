// Tensors of the processor for tests: random ones, and whether two hold the same bytes.
#pragma once
#include <cstring>
#include <vector>

#include "engine/rng.h"
#include "engine/tensor.h"

namespace bp::testing {

// Evenly from [-scale / 2, scale / 2).
inline Tensor some(const Shape& shape, std::uint32_t seed, float scale = 1) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::uint32_t i = 0; i < values.size(); ++i)
    values[i] = scale * (uniform(philox({i, seed, 0, 0}, philox_key(1))[0]) - 0.5f);
  return from_values(shape, values);
}

// Of f32.
inline bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.numel()) * sizeof(float)) == 0;
}

}  // namespace bp::testing
