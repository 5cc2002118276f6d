// How a kernel is started and how it declares shared memory, the same for nvcc and for the emulator.
//
//   template <class T> __global__ void scale(T* y, i64 n) { BP_SHARED(float, sums, 32); ... }
//   launch(scale<float>, dim3(blocks), dim3(256), 0, y, n);
//
// Launches go to the calling thread's stream. Blocks have a multiple of 32 threads. Kernels take plain values
// and pointers. Index arithmetic over whole tensors is in i64.
#pragma once
#include "kernels/kernels.h"

#ifdef BP_SIMT
#include "kernels/simt/simt.h"
#else
#include <cuda_runtime.h>
#endif

#include <algorithm>
#include <memory>
#include <source_location>
#include <tuple>

namespace bp::cuda {

constexpr int kWarpSize = 32;
constexpr unsigned kFullMask = 0xffffffffu;

constexpr i64 ceil_div(i64 a, i64 b) {
  return (a + b - 1) / b;
}

// A grid over n items, `each` per block, for kernels that stride over what is left.
inline unsigned grid_for(i64 n, i64 each, i64 most = 65535) {
  return static_cast<unsigned>(std::clamp<i64>(ceil_div(n, each), 1, most));
}

int multiprocessors();           // of the device in use
std::size_t shared_per_block();  // bytes of shared memory that a block may ask for
int compute_capability();        // 80 is 8.0

// Device memory for the length of a call, from the calling thread's stream: a kernel's partial sums. Slots
// are separate buffers; the next call with the same slot reuses it, in stream order. In a graph the memory
// stays the graph's.
void* workspace(int slot, std::size_t bytes);
template <class T>
T* workspace(int slot, i64 n) {
  return static_cast<T*>(workspace(slot, static_cast<std::size_t>(n) * sizeof(T)));
}

#ifdef BP_SIMT

// The launch as a value, so that a graph can keep it; run() stands for one thread.
class Work {
 public:
  virtual ~Work() = default;
  virtual void run() const = 0;
};
void run_launch(dim3 grid, dim3 block, std::size_t shared_bytes, std::shared_ptr<const Work> work,
                std::source_location place);

template <class... P>
class KernelCall : public Work {
 public:
  KernelCall(void (*kernel)(P...), P... arguments) : kernel_(kernel), arguments_(arguments...) {}
  void run() const override { std::apply(kernel_, arguments_); }

 private:
  void (*kernel_)(P...);
  std::tuple<P...> arguments_;
};

#define BP_SHARED(T, name, count)   \
  static const char name##_key = 0; \
  T* const name = static_cast<T*>(  \
      ::bp::simt::shared_array(&name##_key, sizeof(T) * (count), std::source_location::current()))

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(simt::dynamic_shared_bytes());
}

#else

// Throws naming the call where `error` is one.
void check(cudaError_t error, const char* call);
cudaStream_t stream();

#ifdef __CUDACC__

#define BP_SHARED(T, name, count) __shared__ __align__(16) T name[count]

template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char bp_dynamic_shared[];
  return reinterpret_cast<T*>(bp_dynamic_shared);
}

#endif
#endif

#if defined(BP_SIMT) || defined(__CUDACC__)  // not for the backend's host code

// The place of the launch is what an error names.
struct Grid {
  dim3 blocks;
  std::source_location place;
  Grid(dim3 b, std::source_location p = std::source_location::current()) : blocks(b), place(p) {}
  Grid(unsigned b, std::source_location p = std::source_location::current()) : blocks(b), place(p) {}
};

template <class... P, class... A>
void launch(void (*kernel)(P...), Grid grid, dim3 block, std::size_t shared_bytes, const A&... arguments) {
#ifdef BP_SIMT
  run_launch(grid.blocks, block, shared_bytes,
             std::make_shared<KernelCall<P...>>(kernel, static_cast<P>(arguments)...), grid.place);
#else
  constexpr std::size_t kWithoutAsking = 48 << 10;
  if (shared_bytes > kWithoutAsking)
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
          grid.place.file_name());
  kernel<<<grid.blocks, block, shared_bytes, stream()>>>(static_cast<P>(arguments)...);
  check(cudaGetLastError(), grid.place.file_name());
#endif
}

#endif

}  // namespace bp::cuda
