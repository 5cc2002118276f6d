#include <cstdlib>

#include "tests/op_cases_parts.h"
#include "tests/test_device.h"

namespace bp::testing {

const std::vector<Case>& op_cases() {
  static const std::vector<Case> cases = [] {
    std::vector<Case> all;
    for (const auto add_to : {add_elementwise, add_products, add_convolutions, add_attentions, add_training})
      add_to(all);
    const char* wanted = std::getenv("BOXPROMPT_TEST_OPS");
    const bool emulated = test_device().type == Device::Type::simt;
    std::erase_if(
        all, [&](const Case& c) { return (wanted && !c.name.starts_with(wanted)) || (emulated && c.large); });
    return all;
  }();
  return cases;
}

}  // namespace bp::testing
