// Compares the trunk in training mode with a recording of the published module (see tests/golden/README.md).
#pragma once
#include <string>

namespace bp::test {

// One step on two images: features by the batch's statistics, loss, every parameter's gradient, and the
// running statistics afterwards.
void check_tiny_vit_training(const std::string& file);

}  // namespace bp::test
