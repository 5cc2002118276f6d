#include "kernels/simt/backend.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/cuda/table.h"
#include "kernels/simt/machine.h"
#include "kernels/simt/memory.h"

namespace bp {
namespace simt {
namespace {

using Recording = std::vector<std::function<void()>>;
thread_local std::unique_ptr<Recording> recording;

void refuse_while_recording(const char* what) {
  if (recording) throw std::runtime_error(std::string("simt: ") + what + " while a graph is recorded");
}

// Runs the step now, or leaves it to the graph.
void step(std::function<void()> run) {
  if (recording)
    recording->push_back(std::move(run));
  else
    run();
}

void select(int index) {
  if (index != 0) throw std::runtime_error("simt: device " + std::to_string(index) + ", there is one");
}

k::DeviceInfo info(int) {
  k::DeviceInfo d{};
  std::snprintf(d.name, sizeof d.name, "emulated CUDA threads");
  d.memory =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  d.multiprocessors = cuda::multiprocessors();
  return d;
}

std::size_t free_memory() {
  return static_cast<std::size_t>(sysconf(_SC_AVPHYS_PAGES)) *
         static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void* allocate(std::size_t bytes) {
  refuse_while_recording("allocate");
  return fenced_allocate(bytes);
}
void release(void* block) {
  fenced_release(block);
}

void upload(void* to, const void* from, std::size_t bytes) {
  refuse_while_recording("upload");
  std::memcpy(to, from, bytes);
}
void download(void* to, const void* from, std::size_t bytes) {
  refuse_while_recording("download");
  std::memcpy(to, from, bytes);
}
void copy(void* to, const void* from, std::size_t bytes) {
  step([=] { std::memcpy(to, from, bytes); });
}
void synchronize() {
  refuse_while_recording("synchronize");
}

using Clock = std::chrono::steady_clock;
void* mark() {
  refuse_while_recording("mark");
  return new Clock::time_point(Clock::now());
}
double seconds(void* from, void* to) {
  const std::unique_ptr<Clock::time_point> begin(static_cast<Clock::time_point*>(from)),
      end(static_cast<Clock::time_point*>(to));
  return std::chrono::duration<double>(*end - *begin).count();
}

void begin_capture() {
  refuse_while_recording("begin_capture");
  recording = std::make_unique<Recording>();
}
void* end_capture() {
  if (!recording) throw std::runtime_error("simt: end_capture without begin_capture");
  return recording.release();
}
void launch_graph(void* graph) {
  refuse_while_recording("launch_graph");
  for (const auto& run : *static_cast<Recording*>(graph)) run();
}
void destroy_graph(void* graph) {
  delete static_cast<Recording*>(graph);
}

}  // namespace

const k::Backend* backend() {
  static const k::Backend backend{
      .version = k::kBackendVersion,
      .name = "simt",
      .kernels = cuda::table("simt"),
      .ladders = &cuda::ladders(),
      .devices = 1,
      .cache_blocks = false,
      .select = select,
      .info = info,
      .free_memory = free_memory,
      .allocate = allocate,
      .release = release,
      .upload = upload,
      .download = download,
      .copy = copy,
      .synchronize = synchronize,
      .mark = mark,
      .seconds = seconds,
      .begin_capture = begin_capture,
      .end_capture = end_capture,
      .launch_graph = launch_graph,
      .destroy_graph = destroy_graph,
  };
  return &backend;
}

}  // namespace simt

namespace cuda {

// As of a small GPU, so that loops over what a grid leaves are taken.
int multiprocessors() {
  return 4;
}
std::size_t shared_per_block() {
  return 99 << 10;
}
int compute_capability() {
  return 90;
}

void* workspace(int slot, std::size_t bytes) {
  thread_local std::map<int, std::shared_ptr<void>> slots;
  std::shared_ptr<void>& s = slots[slot];
  std::shared_ptr<void> old = s;
  s = {simt::fenced_allocate(bytes), simt::fenced_release};
  // What was recorded before keeps its own memory.
  if (simt::recording) simt::recording->push_back([old, now = s] {});
  return s.get();
}

void run_launch(dim3 grid, dim3 block, std::size_t shared_bytes, std::shared_ptr<const Work> work,
                std::source_location place) {
  simt::step([=] { simt::run_blocks(grid, block, shared_bytes, *work, place); });
}

}  // namespace cuda
}  // namespace bp
