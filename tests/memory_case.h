// Device memory that whole networks need at their peak: tensors and blocks that are kept for reuse, in bytes.
#pragma once
#include <cstddef>

#include "engine/device.h"

namespace bp::test {

// SAM ViT-H with its encoder in bf16: from the weights on the host to the mask of one box.
std::size_t peak_of_vit_h(Device device);
// Forward, backward and AdamW of the student at 224 x 224 in f32, the second of two steps.
std::size_t peak_of_step(Device device, i64 batch);

}  // namespace bp::test
