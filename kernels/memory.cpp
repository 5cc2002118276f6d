#include "kernels/memory.h"

#include <sys/mman.h>

#include <cstdlib>

namespace bp {

void* allocate_host(std::size_t bytes) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t alignment = bytes >= 2 * kHugePage ? kHugePage : 64;
  void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
#ifdef MADV_HUGEPAGE
  if (block && alignment == kHugePage)
    madvise(block, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // advice only
#endif
  return block;
}

}  // namespace bp
