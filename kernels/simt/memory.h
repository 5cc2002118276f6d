// Device memory of the emulator: every block ends at a page that must not be touched, begins after watched
// bytes, and holds NaN bytes.
#pragma once
#include <cstddef>

namespace bp::simt {

void* fenced_allocate(std::size_t bytes);  // aligned to 16; null where there is no memory
// Aborts with one line where a watched byte was written: destructors call this.
void fenced_release(void* block);

}  // namespace bp::simt
