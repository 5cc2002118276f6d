// Host memory for tensors and packing buffers.
#pragma once
#include <cstddef>

namespace bp {

// Aligned to 64 bytes; null where there is none. Large blocks ask for huge pages, which spares most of the
// page faults of a first use and of the address translations after it. Freed with std::free.
void* allocate_host(std::size_t bytes);

}  // namespace bp
