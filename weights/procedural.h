// Weights that any program can compute from their published names, so that two implementations can be
// compared without a checkpoint to hand around. They are noise of a sensible scale: a net made of them runs,
// but has learned nothing.
//
//   key   = FNV-1a 64 of the bytes of (name + salt)
//   z     = key + (i + 1) 0x9E3779B97F4A7C15 mod 2^64 for the row-major index i, then SplitMix64's finalizer
//   u     = (z >> 40) 2^-24, in [0, 1)
//   value = mean + scale (2 u - 1), in f64, rounded once to f32
#pragma once
#include <string>
#include <string_view>

#include "engine/tensor.h"

namespace bp {

struct Spread {
  double mean = 0.0, scale = 1.0;
};

// Mean and scale by what a parameter is, told from its published name and shape; num_batches_tracked is 0.
Spread procedural_spread(std::string_view name, const Shape& published);

// The first n values under a name.
void fill_procedural(float* out, i64 n, std::string_view name, std::string_view salt, Spread spread);

// An f32 tensor in published layout.
Tensor procedural(std::string_view name, const Shape& published, std::string_view salt = {});
Tensor procedural(std::string_view name, const Shape& shape, std::string_view salt, Spread spread);

}  // namespace bp
