#include "engine/allocator.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

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

bool keeps_blocks(Device device) {
  return device.type == Device::Type::cpu || backend(device).cache_blocks;
}

std::size_t size_of_block(std::size_t bytes, Device device) {
  return keeps_blocks(device) ? rounded(bytes) : std::max<std::size_t>(1, bytes);
}

class Cache {
 public:
  explicit Cache(Device device) : device_(device) {}

  struct Block {
    void* data;
    std::size_t size;
  };

  Block take(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    const std::size_t size = size_of_block(bytes, device_);
    // A cached block may be up to an eighth larger than asked for, or four times where another one would have
    // to go for a new one. The last one given back is the likeliest to be in the processor's caches still.
    auto it = free_.lower_bound(size);
    if (it != free_.end() && it->first <= (beyond_limit(size) ? 4 * size : size + size / 8)) {
      it = std::prev(free_.upper_bound(it->first));
      const Block block{it->second, it->first};
      free_.erase(it);
      stats_.cached -= block.size;
      stats_.live += block.size;
      most_live_ = std::max(most_live_, stats_.live);
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
    return {block, size};
  }

  void give(const Block& block) {
    std::lock_guard lock(mutex_);
    stats_.live -= block.size;
    if (keeps_blocks(device_)) {
      stats_.cached += block.size;
      free_.emplace(block.size, block.data);
    } else {
      give_back(block.data);
    }
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
  void* obtain(std::size_t size) const {
    return on_host() ? allocate_host(size) : backend(device_).allocate(size);
  }
  void give_back(void* block) const { on_host() ? std::free(block) : backend(device_).release(block); }
  [[noreturn]] void out_of_memory(std::size_t size) const {
    const std::string left =
        on_host() ? "" : text(", ", backend(device_).free_memory(), " free of ", device_info(device_).memory);
    throw OutOfMemory(text("out of memory on ", device_, ": asked for ", size, " bytes beside ", stats_.live,
                           " in use", left));
  }

  // Blocks of sizes that are no longer wanted are given back, largest first, before the process grows much
  // beyond what it has needed at once. A steady state never comes here: every request finds a block.
  bool beyond_limit(std::size_t wanted) const {
    return stats_.live + stats_.cached + wanted > most_live_ + most_live_ / 4 + kSlack;
  }
  void trim(std::size_t wanted) {
    while (!free_.empty() && beyond_limit(wanted)) {
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

std::shared_ptr<void> from_cache(std::size_t bytes, Device device) {
  Cache& from = cache(device);
  const Cache::Block block = from.take(bytes);
  return {block.data, [&from, size = block.size](void* data) { from.give({data, size}); }};
}

}  // namespace

// Only a block of the same size is used again: then as many of each size are enough as one run holds at once,
// whatever lay free when it began.
struct Arena::Blocks {
  const Device device;
  const bool imaginary;
  std::mutex mutex{};
  std::multimap<std::size_t, void*> free{};
  std::vector<std::shared_ptr<void>> all{};
  std::size_t bytes = 0;
  bool closed = false;
  static constexpr std::uintptr_t kFirstImaginary = 4096;

  static std::shared_ptr<void> take(const std::shared_ptr<Blocks>& from, std::size_t size) {
    const std::lock_guard lock(from->mutex);
    auto it = from->free.find(size);
    if (it == from->free.end()) {
      require(!from->closed, "graph: ", size, " bytes on ", from->device,
              " that were not asked for when its memory was planned");
      void* fresh = reinterpret_cast<void*>(kFirstImaginary + from->bytes);
      if (!from->imaginary) fresh = from->all.emplace_back(from_cache(size, from->device)).get();
      from->bytes += size;
      it = from->free.emplace(size, fresh);
    }
    void* const block = it->second;
    from->free.erase(it);
    return {block, [from, size](void* b) {
              const std::lock_guard giving(from->mutex);
              from->free.emplace(size, b);
            }};
  }
};

thread_local const Arena* Arena::in_use = nullptr;

Arena::Arena(Device device, bool imaginary) : blocks_(new Blocks{device, imaginary}) {}

std::size_t Arena::bytes() const {
  const std::lock_guard lock(blocks_->mutex);
  return blocks_->bytes;
}
void Arena::close() {
  const std::lock_guard lock(blocks_->mutex);
  blocks_->closed = true;
}
Arena::Use::Use(const Arena& arena) {
  in_use = &arena;
}
Arena::Use::~Use() {
  in_use = nullptr;
}

std::shared_ptr<void> allocate(std::size_t bytes, Device device) {
  if (Arena::in_use && Arena::in_use->blocks_->device == device)
    return Arena::Blocks::take(Arena::in_use->blocks_, size_of_block(bytes, device));
  return from_cache(bytes, device);
}

MemoryStats memory_stats(Device device) {
  return cache(device).stats();
}
void reset_peak(Device device) {
  cache(device).reset_peak();
}
std::size_t available_memory(Device device) {
  return backend(device).free_memory() + memory_stats(device).cached;
}
void release_cached(Device device) {
  cache(device).release();
}

}  // namespace bp
