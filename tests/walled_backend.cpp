#include "tests/walled_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/device.h"

namespace bp::testing {
namespace {

constexpr std::size_t kArena = std::size_t{1} << 32;  // address space, not memory
constexpr std::size_t kPage = 4096, kHugePage = std::size_t{2} << 20;

std::recursive_mutex mutex;
WalledCalls calls;
std::size_t limit = kArena, taken = 0;

// In huge pages where the system has them: to open and close every page at every kernel takes long otherwise.
char* address_space() {
  void* p = mmap(nullptr, kArena + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::runtime_error("walled: no address space");
  const auto aligned = (reinterpret_cast<std::uintptr_t>(p) + kHugePage - 1) / kHugePage * kHugePage;
  madvise(reinterpret_cast<void*>(aligned), kArena, MADV_HUGEPAGE);
  return reinterpret_cast<char*>(aligned);
}

struct Memory {
  char* base = address_space();
  std::size_t used = 0;
  std::multimap<std::size_t, void*> free;
  std::map<void*, std::size_t> sizes;
};
Memory& memory() {  // never destroyed: tensors may outlive any static object
  static auto* const instance = new Memory;
  return *instance;
}

void protect(int how) {
  Memory& m = memory();
  mprotect(m.base, (m.used + kHugePage - 1) / kHugePage * kHugePage, how);
}

struct Opened {
  std::lock_guard<std::recursive_mutex> lock{mutex};
  Opened() { protect(PROT_READ | PROT_WRITE); }
  ~Opened() { protect(PROT_NONE); }
};

using Recording = std::vector<std::function<void()>>;
Recording* recording = nullptr;

void refuse_while_recording(const char* what) {
  if (recording) throw std::runtime_error(std::string("walled: ") + what + " while a graph is recorded");
}

void step(std::function<void()> run) {
  if (recording) {
    recording->push_back(std::move(run));
  } else {
    const Opened opened;
    run();
  }
}

template <class Args>
struct Kept {
  Args args;
  explicit Kept(const Args& a) : args(a) {}
  Args operator()() const { return args; }
};
// The list of an optimizer may go once the call returns.
template <class Args>
requires requires(Args a) {
  a.items;
}
struct Kept<Args> {
  Args args;
  std::vector<typename Args::Item> items;
  explicit Kept(const Args& a) : args(a), items(a.items, a.items + a.count) {}
  Args operator()() const {
    Args a = args;
    a.items = items.data();
    return a;
  }
};

const k::Kernels& processor() {
  return kernels(Device{});
}

template <auto Kernel, class Args>
void walled(const Args& args) {
  step([kept = Kept<Args>(args)] {
    ++calls.kernels;
    (processor().*Kernel)(kept());
  });
}

void* allocate(std::size_t bytes) {
  refuse_while_recording("allocate");
  const std::lock_guard lock(mutex);
  Memory& m = memory();
  std::size_t size = (bytes + kPage - 1) / kPage * kPage;
  if (taken + size > limit) return nullptr;
  void* block = nullptr;
  if (const auto it = m.free.lower_bound(size); it != m.free.end() && it->first <= 2 * size) {
    block = it->second;
    size = it->first;
    m.free.erase(it);
  } else {
    if (size > kArena - m.used) return nullptr;
    block = m.base + m.used;
    m.used += size;
  }
  m.sizes[block] = size;
  taken += size;
  ++calls.allocated;
  const Opened opened;
  std::memset(block, 0xff, size);  // NaN
  return block;
}
void release(void* block) {
  refuse_while_recording("release");
  const std::lock_guard lock(mutex);
  const auto it = memory().sizes.find(block);
  memory().free.emplace(it->second, block);
  taken -= it->second;
  memory().sizes.erase(it);
  ++calls.released;
}
void upload(void* to, const void* from, std::size_t bytes) {
  refuse_while_recording("upload");
  const Opened opened;
  ++calls.uploads;
  std::memcpy(to, from, bytes);
}
void download(void* to, const void* from, std::size_t bytes) {
  refuse_while_recording("download");
  const Opened opened;
  ++calls.downloads;
  std::memcpy(to, from, bytes);
}

k::DeviceInfo info(int) {
  k::DeviceInfo d{};
  std::strcpy(d.name, "walled");
  d.memory = limit;
  return d;
}

k::Kernels table() {
  k::Kernels t{};
  t.name = "walled";
#define BP_WALL(kernel) t.kernel = walled<&k::Kernels::kernel>
  BP_WALL(fill);
  BP_WALL(cast);
  BP_WALL(strided_copy);
  BP_WALL(unary);
  BP_WALL(unary_backward);
  BP_WALL(binary);
  BP_WALL(sum_to);
  BP_WALL(matmul);
  BP_WALL(softmax);
  BP_WALL(softmax_backward);
  BP_WALL(layer_norm);
  BP_WALL(layer_norm_backward);
  BP_WALL(batch_norm);
  BP_WALL(batch_norm_backward);
  BP_WALL(l2_normalize);
  BP_WALL(l2_normalize_backward);
  BP_WALL(bce_with_logits);
  BP_WALL(conv2d);
  BP_WALL(conv2d_backward);
  BP_WALL(depthwise);
  BP_WALL(depthwise_backward);
  BP_WALL(attention);
  BP_WALL(attention_backward);
  BP_WALL(window_attention);
  BP_WALL(window_attention_backward);
  BP_WALL(resize_bilinear);
  BP_WALL(resize_bilinear_backward);
  BP_WALL(resize_pil);
  BP_WALL(normalize_pad);
  BP_WALL(squared_norms);
  BP_WALL(adamw);
#undef BP_WALL
  return t;
}

}  // namespace

const k::Backend* walled_backend(bool cache_blocks) {
  static k::Backend backends[2];
  k::Backend& b = backends[cache_blocks];
  if (b.version == 0)
    b = {.version = k::kBackendVersion,
         .name = "walled",
         .kernels = table(),
         .ladders = nullptr,
         .devices = 2,
         .cache_blocks = cache_blocks,
         .select = [](int) {},
         .info = info,
         .free_memory = [] { return limit - std::min(limit, taken); },
         .allocate = allocate,
         .release = release,
         .upload = upload,
         .download = download,
         .copy = [](void* to, const void* from,
                    std::size_t bytes) { step([=] { std::memcpy(to, from, bytes); }); },
         .synchronize = [] { refuse_while_recording("synchronize"); },
         .mark = nullptr,
         .seconds = nullptr,
         .begin_capture =
             [] {
               refuse_while_recording("begin_capture");
               recording = new Recording;
             },
         .end_capture = []() -> void* { return std::exchange(recording, nullptr); },
         .launch_graph =
             [](void* graph) {
               refuse_while_recording("launch_graph");
               for (const auto& run : *static_cast<Recording*>(graph)) step(run);
             },
         .destroy_graph = [](void* graph) { delete static_cast<Recording*>(graph); }};
  return &b;
}

void set_walled_memory(std::size_t bytes) {
  limit = std::min(bytes, kArena);
}

WalledCalls walled_calls() {
  return calls;
}

}  // namespace bp::testing
