#include "kernels/simt/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace bp::simt {
namespace {

constexpr unsigned char kPoison = 0xff, kFenceByte = 0xa5;
constexpr std::size_t kFence = 64, kAlign = 16;

struct Block {
  char* mapping;
  std::size_t mapped, bytes;
};
std::mutex mutex;
std::map<void*, Block>& blocks() {  // never destroyed: tensors may outlive any static object
  static auto* const all = new std::map<void*, Block>;
  return *all;
}

std::size_t page() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

bool untouched(const char* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    if (static_cast<unsigned char>(from[i]) != kFenceByte) return false;
  return true;
}

}  // namespace

void* fenced_allocate(std::size_t bytes) {
  const std::size_t inside = (bytes + kFence + kAlign + page() - 1) / page() * page();
  void* mapping = mmap(nullptr, inside + page(), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  auto* first = static_cast<char*>(mapping);
  mprotect(first + inside, page(), PROT_NONE);
  char* data = first + (inside - bytes) / kAlign * kAlign;
  std::memset(data - kFence, kFenceByte, kFence);
  std::memset(data, kPoison, bytes);
  std::memset(data + bytes, kFenceByte, static_cast<std::size_t>(first + inside - (data + bytes)));
  const std::lock_guard lock(mutex);
  blocks()[data] = {first, inside + page(), bytes};
  return data;
}

void fenced_release(void* block) {
  Block b;
  {
    const std::lock_guard lock(mutex);
    const auto it = blocks().find(block);
    b = it->second;
    blocks().erase(it);
  }
  const auto* data = static_cast<const char*>(block);
  const auto behind = static_cast<std::size_t>(b.mapping + b.mapped - page() - (data + b.bytes));
  if (!untouched(data - kFence, kFence) || !untouched(data + b.bytes, behind)) {
    // Destructors release blocks, so this cannot be thrown.
    std::fprintf(stderr, "simt: a kernel wrote beside a block of %zu bytes of device memory\n", b.bytes);
    std::abort();
  }
  munmap(b.mapping, b.mapped);
}

}  // namespace bp::simt
