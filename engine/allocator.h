// Memory of tensors, kept for reuse: a network that runs twice on one shape asks the system for memory only
// once. Each device has a cache of its own. What a device does, it does in the order in which it was asked,
// so a block can be used again as soon as its last owner goes, although the device may not be done with it.
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

// A block of at least `bytes`, uninitialised, aligned to 64 on the processor and as the device wants it
// there; it returns to the cache when its last owner goes. Throws OutOfMemory naming device and size where
// there is no memory. Thread-safe.
std::shared_ptr<void> allocate(std::size_t bytes, Device device);

// Memory that stays together, for a graph that runs at the addresses it was recorded with. Its blocks are
// taken from the device's cache and go back there with the arena and its last tensor.
class Arena {
 public:
  // Imaginary: addresses without memory, to learn how much something would need.
  explicit Arena(Device device, bool imaginary = false);
  std::size_t bytes() const;  // of all blocks
  void close();               // no more blocks: from now on Error where none of its own is free

  // While it lives, what this thread allocates on the device comes from the arena. Not nested.
  class Use {
   public:
    explicit Use(const Arena& arena);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
  };

 private:
  struct Blocks;
  friend std::shared_ptr<void> allocate(std::size_t, Device);
  std::shared_ptr<Blocks> blocks_;
  static thread_local const Arena* in_use;
};

MemoryStats memory_stats(Device device = {});
void reset_peak(Device device = {});
// What tensors on a device could still get: what is free there and what is kept for reuse, in bytes. Not for
// the processor.
std::size_t available_memory(Device device);
void release_cached(Device device = {});  // gives cached blocks back to the system

}  // namespace bp
