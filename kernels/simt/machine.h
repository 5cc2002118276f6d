// What the emulator's files share.
#pragma once
#include "kernels/cuda/launch.h"

namespace bp::simt {

// All blocks of a launch, on all threads of the pool. Throws what a block threw first.
void run_blocks(dim3 grid, dim3 block, std::size_t shared_bytes, const cuda::Work& work, Place place);

// One cp.async, late: `bytes` copied and `zeros` zeros behind them. In a file that ThreadSanitizer watches.
void perform(void* shared, const void* global, std::size_t bytes, std::size_t zeros);

}  // namespace bp::simt
