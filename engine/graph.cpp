#include "engine/graph.h"

#include "engine/backend.h"
#include "engine/error.h"

namespace bp {
namespace {

struct Check {
  Tensor x;
  std::function<void(const std::vector<float>&)> check;
};

// Of the graph that this thread captures. Every run of f holds what its ops left to be checked, so that all
// need the same memory.
thread_local std::vector<Check>* checks_left = nullptr;

struct Capturing {
  explicit Capturing(std::vector<Check>& checks) { checks_left = &checks; }
  ~Capturing() { checks_left = nullptr; }
};

// Converts to any kernel, of which it does nothing.
struct Nothing {
  template <class Args>
  using Kernel = void (*)(const Args&);
  template <class Args>
  operator Kernel<Args>() const {
    return [](const Args&) {};
  }
};

k::Kernels no_kernels() {
  const Nothing n;
  return {"planned", n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
          n,         n, n, n, n, n, n, n, n, n, n, n, n, n, n, n};
}

[[noreturn]] void refuse(const char* what) {
  fail("graph: ", what, " while it is captured");
}

// Memory is the device's, but nothing runs.
k::Backend planned(const k::Backend& real) {
  k::Backend b = real;
  b.kernels = no_kernels();
  b.upload = [](void*, const void*, std::size_t) { refuse("values of the host are wanted on the device"); };
  b.download = [](void*, const void*, std::size_t) { refuse("values are wanted on the host"); };
  b.copy = [](void*, const void*, std::size_t) {};
  b.synchronize = [] { refuse("something waits for the device"); };
  b.begin_capture = [] { refuse("another graph is"); };
  b.launch_graph = [](void*) { refuse("another graph is launched"); };
  return b;
}

// Ends a recording that went wrong; what went wrong is told by the exception under way.
void abandon(const k::Backend& b) {
  try {
    if (void* graph = b.end_capture()) b.destroy_graph(graph);
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace

struct Graph::Inside {
  Device device;
  Arena arena;
  std::vector<Check> checks;
  void* graph = nullptr;

  explicit Inside(Device d) : device(d), arena(d) {}
  ~Inside() {
    if (graph) backend(device).destroy_graph(graph);
  }
};

Graph::Graph() = default;
Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

void Graph::launch() const {
  require(defined(), "graph: nothing was captured");
  backend(inside_->device).launch_graph(inside_->graph);
}

void Graph::check() const {
  require(defined(), "graph: nothing was captured");
  for (const Check& c : inside_->checks) c.check(c.x.values());
}

std::size_t Graph::memory() const {
  return defined() ? inside_->arena.bytes() : 0;
}

Graph capture(Device device, const std::function<void()>& f) {
  require(device.type != Device::Type::cpu, "graph: the processor has none, call the function itself");
  require(!checks_left, "graph: another one is being captured");
  Graph result;
  result.inside_ = std::make_unique<Graph::Inside>(device);
  Graph::Inside& inside = *result.inside_;
  const Capturing capturing(inside.checks);
  const Arena::Use use(inside.arena);
  const auto run = [&] {
    inside.checks.clear();
    f();
  };
  {
    const k::Backend plan = planned(backend(device));
    const Substitute substitute(device, plan);
    // What an earlier run left is replaced while it is still held, so the second run may need more memory.
    run();
    run();
  }
  inside.arena.close();
  const k::Backend& b = backend(device);
  b.begin_capture();
  try {
    run();
  } catch (...) {
    abandon(b);
    throw;
  }
  inside.graph = b.end_capture();
  return result;
}

std::size_t memory_needed(Device device, const std::function<void()>& f) {
  require(device.type != Device::Type::cpu, "graph: the processor has none");
  require(!checks_left, "graph: another one is being captured");
  const Arena arena(device, true);
  std::vector<Check> checks;
  const Capturing capturing(checks);
  const Arena::Use use(arena);
  const k::Backend plan = planned(backend(device));
  const Substitute substitute(device, plan);
  for (int i = 0; i < 2; ++i) {
    checks.clear();
    f();
  }
  return arena.bytes();
}

void verify(const Tensor& x, std::function<void(const std::vector<float>&)> check) {
  if (checks_left)
    checks_left->push_back({x.detach(), std::move(check)});
  else
    check(x.values());
}

}  // namespace bp
