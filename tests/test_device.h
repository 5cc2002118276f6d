// Where tests of ops run: the environment variable BOXPROMPT_TEST_DEVICE, which is what --device takes, or
// "walled" (walled_backend.h), or unset for the processor.
#pragma once
#include <string>

#include "engine/device.h"

namespace bp::testing {

Device test_device();
// Why tests on that device have to be left out on this machine; empty where they can run.
std::string why_skip();

}  // namespace bp::testing
