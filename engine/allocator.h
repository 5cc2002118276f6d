// Memory of tensors, kept for reuse: a network that runs twice on one shape asks the system for memory only
// once.
#pragma once
#include <cstddef>
#include <memory>

#include "engine/device.h"

namespace bp {

struct MemoryStats {
  std::size_t live = 0;          // bytes in tensors now
  std::size_t cached = 0;        // bytes kept for reuse
  std::size_t peak = 0;          // largest live + cached since the start or the last reset_peak()
  std::size_t system_calls = 0;  // allocations that went to the system since the start
};

// A block of at least `bytes`, aligned to 64, uninitialised; it returns to the cache when its last owner
// goes. Throws Error naming the size where the system has no memory. Thread-safe.
std::shared_ptr<void> allocate(std::size_t bytes, Device device);

MemoryStats memory_stats(Device device = {});
void reset_peak(Device device = {});
void release_cached(Device device = {});  // gives cached blocks back to the system

}  // namespace bp
