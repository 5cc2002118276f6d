#include "tests/op_cases_parts.h"

namespace bp::testing {

const std::vector<Case>& op_cases() {
  static const std::vector<Case> cases = [] {
    std::vector<Case> all;
    for (const auto add_to : {add_elementwise, add_products, add_convolutions, add_attentions, add_training})
      add_to(all);
    return all;
  }();
  return cases;
}

}  // namespace bp::testing
