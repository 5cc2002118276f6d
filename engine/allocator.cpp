#include "engine/allocator.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

#include "engine/backend.h"
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
  explicit Cache(Device device) : device_(device) {}

  void* take(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    const std::size_t size = keeps_blocks() ? rounded(bytes) : std::max<std::size_t>(1, bytes);
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
    void* block = obtain(size);
    if (!block && stats_.cached) {
      drop_cached();
      block = obtain(size);
    }
    if (!block) out_of_memory(size);
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
    if (keeps_blocks()) {
      stats_.cached += it->second;
      free_.emplace(it->second, block);
    } else {
      give_back(block);
    }
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

  bool on_host() const { return device_.type == Device::Type::cpu; }
  bool keeps_blocks() const { return on_host() || backend(device_).cache_blocks; }
  void* obtain(std::size_t size) const {
    return on_host() ? allocate_host(size) : backend(device_).allocate(size);
  }
  void give_back(void* block) const { on_host() ? std::free(block) : backend(device_).release(block); }
  [[noreturn]] void out_of_memory(std::size_t size) const {
    const std::string all = on_host() ? "" : text(", of ", device_info(device_).memory, " in all");
    fail("out of memory on ", device_, ": asked for ", size, " bytes beside ", stats_.live, " in use", all);
  }

  // Blocks of sizes that are no longer wanted are given back, largest first, before the process grows much
  // beyond what it has needed at once. A steady state never comes here: every request finds a block.
  void trim(std::size_t wanted) {
    const std::size_t limit = most_live_ + most_live_ / 4 + kSlack;
    while (!free_.empty() && stats_.live + stats_.cached + wanted > limit) {
      const auto largest = std::prev(free_.end());
      give_back(largest->second);
      stats_.cached -= largest->first;
      free_.erase(largest);
    }
  }

  void drop_cached() {
    for (auto& [size, block] : free_) give_back(block);
    free_.clear();
    stats_.cached = 0;
  }

  const Device device_;
  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
  std::map<void*, std::size_t> sizes_;
  MemoryStats stats_;
  std::size_t most_live_ = 0;
};

// Never destroyed: tensors with static lifetime may outlive any static object.
Cache& cache(Device device) {
  static Cache* const host = new Cache(Device{});
  if (device.type == Device::Type::cpu) return *host;
  static auto* const mutex = new std::mutex;
  static auto* const others = new std::map<std::pair<Device::Type, int>, Cache>;
  std::lock_guard lock(*mutex);
  return others->try_emplace({device.type, device.index}, device).first->second;
}

}  // namespace

std::shared_ptr<void> allocate(std::size_t bytes, Device device) {
  Cache& from = cache(device);
  return {from.take(bytes), [&from](void* block) { from.give(block); }};
}

MemoryStats memory_stats(Device device) {
  return cache(device).stats();
}
void reset_peak(Device device) {
  cache(device).reset_peak();
}
void release_cached(Device device) {
  cache(device).release();
}

}  // namespace bp
