// Activations one number at a time.
#pragma once
#include <cmath>

#include "kernels/kernels.h"

namespace bp::cpu::ladder {

[[gnu::always_inline]] inline float activate(k::Act act, float x) {
  if (act == k::Act::gelu) return 0.5f * x * (1 + std::erf(x * 0.70710678f));
  return act == k::Act::relu && !(x > 0) ? 0.0f : x;
}

}  // namespace bp::cpu::ladder
