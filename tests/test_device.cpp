#include "tests/test_device.h"

#include <cstdlib>

#include "engine/backend.h"
#include "tests/walled_backend.h"

namespace bp::testing {
namespace {

std::string wanted() {
  const char* name = std::getenv("BOXPROMPT_TEST_DEVICE");
  return name && *name ? name : "cpu";
}

Device find() {
  if (wanted() != "walled") return parse_device(wanted());
  use_backend(Device::Type::cuda, walled_backend());
  return {Device::Type::cuda};
}

}  // namespace

Device test_device() {
  if (!why_skip().empty()) return {};  // main() says so and runs nothing
  static const Device device = find();
  return device;
}

std::string why_skip() {
  return wanted().starts_with("cuda") ? why_no_cuda() : "";
}

}  // namespace bp::testing
