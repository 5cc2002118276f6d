// Functions that references share.
#pragma once
#include <algorithm>
#include <cmath>

#include "tests/op_cases.h"

namespace bp::testing {

using Arrays = std::vector<Array>;
using Tensors = std::vector<Tensor>;

inline double gelu_of(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}
inline double activated(Act act, double x) {
  return act == Act::gelu ? gelu_of(x) : act == Act::relu ? std::max(x, 0.0) : x;
}
inline std::string name_of_act(Act act) {
  return act == Act::gelu ? " gelu" : act == Act::relu ? " relu" : "";
}

// The parts of the table.
void add_elementwise(std::vector<Case>&);
void add_products(std::vector<Case>&);
void add_convolutions(std::vector<Case>&);
void add_attentions(std::vector<Case>&);
void add_training(std::vector<Case>&);

}  // namespace bp::testing
