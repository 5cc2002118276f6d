#include "engine/allocator.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

#include "engine/error.h"
#include "kernels/memory.h"

namespace bp {
namespace {

// Sizes are rounded up to an eighth of their power of two, so that nearly equal requests share blocks.
std::size_t rounded(std::size_t bytes) {
  std::size_t step = 64;
  while (step * 16 <= bytes) step *= 2;
  return std::max<std::size_t>(64, (bytes + step - 1) / step * step);
}

class Cache {
 public:
  void* take(std::size_t size) {
    std::lock_guard lock(mutex_);
    // A cached block may be up to an eighth larger than asked for.
    auto it = free_.lower_bound(size);
    if (it != free_.end() && it->first <= size + size / 8) {
      void* block = it->second;
      stats_.cached -= it->first;
      stats_.live += it->first;
      most_live_ = std::max(most_live_, stats_.live);
      sizes_[block] = it->first;
      free_.erase(it);
      return block;
    }
    trim(size);
    void* block = allocate_host(size);
    if (!block && stats_.cached) {
      drop_cached();
      block = allocate_host(size);
    }
    require(block != nullptr, "out of memory: asked for ", size, " bytes beside ", stats_.live, " in use");
    ++stats_.system_calls;
    stats_.live += size;
    most_live_ = std::max(most_live_, stats_.live);
    stats_.peak = std::max(stats_.peak, stats_.live + stats_.cached);
    sizes_[block] = size;
    return block;
  }

  void give(void* block) {
    std::lock_guard lock(mutex_);
    const auto it = sizes_.find(block);
    stats_.live -= it->second;
    stats_.cached += it->second;
    free_.emplace(it->second, block);
    sizes_.erase(it);
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.live + stats_.cached;
  }
  void release() {
    std::lock_guard lock(mutex_);
    drop_cached();
  }

 private:
  static constexpr std::size_t kSlack = std::size_t{64} << 20;

  // Blocks of sizes that are no longer wanted are given back, largest first, before the process grows much
  // beyond what it has needed at once. A steady state never comes here: every request finds a block.
  void trim(std::size_t wanted) {
    const std::size_t limit = most_live_ + most_live_ / 4 + kSlack;
    while (!free_.empty() && stats_.live + stats_.cached + wanted > limit) {
      const auto largest = std::prev(free_.end());
      std::free(largest->second);
      stats_.cached -= largest->first;
      free_.erase(largest);
    }
  }

  void drop_cached() {
    for (auto& [size, block] : free_) std::free(block);
    free_.clear();
    stats_.cached = 0;
  }

  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
  std::map<void*, std::size_t> sizes_;
  MemoryStats stats_;
  std::size_t most_live_ = 0;
};

// Never destroyed: tensors with static lifetime may outlive any static object.
Cache& cache() {
  static Cache* const instance = new Cache;
  return *instance;
}

}  // namespace

std::shared_ptr<void> allocate(std::size_t bytes, Device) {
  return {cache().take(rounded(bytes)), [](void* block) { cache().give(block); }};
}

MemoryStats memory_stats(Device) {
  return cache().stats();
}
void reset_peak(Device) {
  cache().reset_peak();
}
void release_cached(Device) {
  cache().release();
}

}  // namespace bp
