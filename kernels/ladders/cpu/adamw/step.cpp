#include <cmath>

#include "kernels/ladders/cpu/adamw/rungs.h"

namespace bp::cpu::ladder {

bool adamw_step(const k::AdamW& p, AdamWStep& step) {
  double square = 0;
  for (i64 i = 0; i < p.count; ++i) {
    if (!std::isfinite(p.squares[i])) return false;
    square += static_cast<double>(p.squares[i]);
  }
  const double norm = std::sqrt(square);
  step = {p.schedule[0], p.schedule[1], p.schedule[2], p.schedule[3],
          p.clip > 0 && norm > p.clip ? static_cast<float>(p.clip / norm) : 1.0f};
  return true;
}

}  // namespace bp::cpu::ladder
