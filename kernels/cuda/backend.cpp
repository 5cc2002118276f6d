// The CUDA device of the shared object: one stream per GPU, pinned staging for copies to and from the host,
// graphs by stream capture.
#include "kernels/backend.h"

#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {

void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // the next call shall not report it again
  throw std::runtime_error(std::string("cuda: ") + call + ": " + cudaGetErrorString(error));
}

namespace {

// Two pinned buffers by turns: while one is copied by the device, the other is filled.
class Staging {
 public:
  static constexpr std::size_t kSize = std::size_t{8} << 20;

  void upload(char* to, const char* from, std::size_t bytes, cudaStream_t stream) {
    for (std::size_t done = 0; done < bytes; done += kSize) {
      Half& half = next();
      const std::size_t part = std::min(kSize, bytes - done);
      std::memcpy(half.data, from + done, part);
      check(cudaMemcpyAsync(to + done, half.data, part, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
      check(cudaEventRecord(half.used, stream), "cudaEventRecord");
    }
  }

  void download(char* to, const char* from, std::size_t bytes, cudaStream_t stream) {
    struct Part {
      Half* half;
      std::size_t at, bytes;
    } last{nullptr, 0, 0};
    const auto arrive = [&] {
      if (!last.half) return;
      check(cudaEventSynchronize(last.half->used), "cudaEventSynchronize");
      std::memcpy(to + last.at, last.half->data, last.bytes);
    };
    for (std::size_t done = 0; done < bytes; done += kSize) {
      Half& half = next();
      const std::size_t part = std::min(kSize, bytes - done);
      check(cudaMemcpyAsync(half.data, from + done, part, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
      check(cudaEventRecord(half.used, stream), "cudaEventRecord");
      arrive();
      last = {&half, done, part};
    }
    arrive();
  }

 private:
  struct Half {
    char* data = nullptr;
    cudaEvent_t used = nullptr;
  };

  // The buffer that the device has finished with.
  Half& next() {
    Half& half = halves_[turn_ ^= 1];
    if (!half.data) {
      check(cudaMallocHost(reinterpret_cast<void**>(&half.data), kSize), "cudaMallocHost");
      check(cudaEventCreateWithFlags(&half.used, cudaEventDisableTiming), "cudaEventCreate");
    }
    check(cudaEventSynchronize(half.used), "cudaEventSynchronize");
    return half;
  }

  Half halves_[2];
  int turn_ = 0;
};

struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
};

struct Gpu {
  cudaStream_t stream = nullptr;
  Staging staging;
  std::map<int, Workspace> workspaces;
  int multiprocessors = 0;
  std::size_t shared_per_block = 0;
  int compute_capability = 0;
  bool capturing = false;
};

thread_local int selected = 0;

// Never destroyed: the driver may be gone when static objects are.
std::vector<std::unique_ptr<Gpu>>& gpus() {
  static auto* const all = new std::vector<std::unique_ptr<Gpu>>;
  return *all;
}

int attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, index), "cudaDeviceGetAttribute");
  return value;
}

Gpu& gpu() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  auto& slot = gpus().at(static_cast<std::size_t>(selected));
  if (!slot) {
    auto made = std::make_unique<Gpu>();
    check(cudaStreamCreateWithFlags(&made->stream, cudaStreamNonBlocking), "cudaStreamCreate");
    made->multiprocessors = attribute(cudaDevAttrMultiProcessorCount, selected);
    made->shared_per_block =
        static_cast<std::size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, selected));
    made->compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, selected) +
                               attribute(cudaDevAttrComputeCapabilityMinor, selected);
    slot = std::move(made);
  }
  return *slot;
}

void refuse_while_capturing(const char* what) {
  if (gpu().capturing) throw std::runtime_error(std::string("cuda: ") + what + " while a graph is recorded");
}

void select(int index) {
  if (index < 0 || static_cast<std::size_t>(index) >= gpus().size())
    throw std::runtime_error("cuda: device " + std::to_string(index) + ", there are " +
                             std::to_string(gpus().size()));
  check(cudaSetDevice(index), "cudaSetDevice");
  selected = index;
}

k::DeviceInfo info(int index) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  k::DeviceInfo d{};
  std::snprintf(d.name, sizeof d.name, "%.255s", properties.name);
  d.compute_major = properties.major;
  d.compute_minor = properties.minor;
  d.multiprocessors = properties.multiProcessorCount;
  d.memory = properties.totalGlobalMem;
  check(cudaDriverGetVersion(&d.driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&d.runtime), "cudaRuntimeGetVersion");
  return d;
}

std::size_t free_memory() {
  std::size_t free = 0, all = 0;
  check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
  return free;
}

void* allocate(std::size_t bytes) {
  refuse_while_capturing("allocate");
  void* block = nullptr;
  const cudaError_t error = cudaMalloc(&block, bytes ? bytes : 1);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  check(error, "cudaMalloc");
  return block;
}
void release(void* block) {
  // Waits for the device, so what was launched before may still use the block. Errors are reported by the
  // next call: destructors come here.
  static_cast<void>(cudaFree(block));
}

void upload(void* to, const void* from, std::size_t bytes) {
  refuse_while_capturing("upload");
  gpu().staging.upload(static_cast<char*>(to), static_cast<const char*>(from), bytes, gpu().stream);
}
void download(void* to, const void* from, std::size_t bytes) {
  refuse_while_capturing("download");
  gpu().staging.download(static_cast<char*>(to), static_cast<const char*>(from), bytes, gpu().stream);
}
void copy(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, gpu().stream), "cudaMemcpyAsync");
}
void synchronize() {
  refuse_while_capturing("synchronize");
  check(cudaStreamSynchronize(gpu().stream), "cudaStreamSynchronize");
}

void* mark() {
  refuse_while_capturing("mark");
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  check(cudaEventRecord(event, gpu().stream), "cudaEventRecord");
  return event;
}
double seconds(void* from, void* to) {
  const auto begin = static_cast<cudaEvent_t>(from), end = static_cast<cudaEvent_t>(to);
  float milliseconds = 0;
  check(cudaEventSynchronize(end), "cudaEventSynchronize");
  check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
  check(cudaEventDestroy(begin), "cudaEventDestroy");
  check(cudaEventDestroy(end), "cudaEventDestroy");
  return 1e-3 * static_cast<double>(milliseconds);
}

void begin_capture() {
  refuse_while_capturing("begin_capture");
  check(cudaStreamBeginCapture(gpu().stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  gpu().capturing = true;
}
void* end_capture() {
  gpu().capturing = false;
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(gpu().stream, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t runnable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&runnable, graph, 0);
  check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  check(error, "cudaGraphInstantiate");
  return runnable;
}
void launch_graph(void* graph) {
  refuse_while_capturing("launch_graph");
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), gpu().stream), "cudaGraphLaunch");
}
void destroy_graph(void* graph) {
  static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}

// Why this machine cannot run it, or nothing.
std::string trouble(int& count) {
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return cudaGetErrorString(error);
  }
  if (count == 0) return "no CUDA device";
  for (int i = 0; i < count; ++i)
    if (attribute(cudaDevAttrComputeCapabilityMajor, i) < 8)
      return "device " + std::to_string(i) + " is older than compute capability 8.0";
  return "";
}

}  // namespace

cudaStream_t stream() {
  return gpu().stream;
}
int multiprocessors() {
  return gpu().multiprocessors;
}
std::size_t shared_per_block() {
  return gpu().shared_per_block;
}
int compute_capability() {
  return gpu().compute_capability;
}

void* workspace(int slot, std::size_t bytes) {
  Workspace& w = gpu().workspaces[slot];
  if (w.bytes < bytes) {
    refuse_while_capturing("a larger workspace");
    // The one before is kept: a graph may have been recorded with it. Doubling keeps the sum below twice the
    // last.
    const std::size_t size = std::max(bytes, 2 * w.bytes);
    check(cudaMalloc(&w.data, size), "cudaMalloc of a workspace");
    w.bytes = size;
  }
  return w.data;
}

}  // namespace bp::cuda

extern "C" __attribute__((visibility("default"))) const bp::k::Backend* bp_backend(const char** why) {
  using namespace bp;
  static std::string reason;
  static int count = 0;
  try {
    reason = cuda::trouble(count);
  } catch (const std::exception& e) {
    reason = e.what();
  }
  *why = reason.c_str();
  if (!reason.empty()) return nullptr;
  if (cuda::gpus().empty()) cuda::gpus().resize(static_cast<std::size_t>(count));
  static const k::Backend backend{
      .version = k::kBackendVersion,
      .name = "cuda",
      .kernels = cuda::table("cuda"),
      .ladders = &cuda::ladders(),
      .devices = count,
      .cache_blocks = true,
      .select = cuda::select,
      .info = cuda::info,
      .free_memory = cuda::free_memory,
      .allocate = cuda::allocate,
      .release = cuda::release,
      .upload = cuda::upload,
      .download = cuda::download,
      .copy = cuda::copy,
      .synchronize = cuda::synchronize,
      .mark = cuda::mark,
      .seconds = cuda::seconds,
      .begin_capture = cuda::begin_capture,
      .end_capture = cuda::end_capture,
      .launch_graph = cuda::launch_graph,
      .destroy_graph = cuda::destroy_graph,
  };
  return &backend;
}
