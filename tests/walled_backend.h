// A device for tests of the engine: the processor's kernels on memory that only they and the backend's own
// calls may touch. Whatever else reads or writes it ends the program with a segmentation fault.
#pragma once
#include "kernels/backend.h"

namespace bp::testing {

// Two devices, "walled"; graphs are supported. Memory is kept for reuse as on a GPU if `cache_blocks`.
const k::Backend* walled_backend(bool cache_blocks = true);

// How much memory a device has, at most and at first 4 GiB.
void set_walled_memory(std::size_t bytes);

// What it was asked to do since the program's start.
struct WalledCalls {
  long allocated = 0, released = 0, uploads = 0, downloads = 0, kernels = 0;
};
WalledCalls walled_calls();

}  // namespace bp::testing
