// What to do where a device has no memory left for a batch.
#pragma once
#include <functional>
#include <string>

#include "engine/device.h"

namespace bp {

// The end of an error's line: "; --batch 4 would fit", the largest half of a half of `batch` for which
// work(batch) fits into what the device has left now, found without taking memory (memory_needed); that none
// would, at inputs of `size` x `size`; on the processor only that a smaller one needs less.
std::string smaller_batch(Device device, i64 batch, i64 size, const std::function<void(i64)>& work);

}  // namespace bp
