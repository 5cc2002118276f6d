// What nvcc gives a kernel, for g++: the source of kernels/cuda compiled with BP_SIMT runs on the processor,
// one fiber per CUDA thread. docs/kernels.md explains the tool. Stricter than a GPU where that finds
// mistakes:
//   - Barriers, shuffles and votes must be reached by all lanes that have not returned, at one place of the
//     source; a mask that is not full is an error.
//   - Shared memory and fresh device memory hold NaN bytes; bytes beside every block are watched.
//   - Lanes and blocks run in the order that BOXPROMPT_SIMT_ORDER says: forward, reverse, or a seed.
//   - cp.async copies when it is waited for, not before.
// A mistake throws std::runtime_error out of launch() with kernel, block, thread and place.
#pragma once
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}

namespace bp::simt {

using Place = std::source_location;

constexpr unsigned kWarp = 32;
constexpr unsigned kFullMask = 0xffffffffu;

// What a lane may know of itself; `here` is the running one's.
struct Lane {
  uint3 thread, block;
  dim3 threads, blocks;
  unsigned lane;  // in its warp
};
extern thread_local constinit const Lane* here;

void sync_block(Place place);
void sync_warp(Place place);

// Every lane of the warp gives `size` bytes (at most 16); then read_lane shows the bytes that a lane gave.
// Both belong to one exchange: publish, one barrier, reads.
void publish(const void* value, std::size_t size, Place place);
const void* read_lane(unsigned lane, Place place);  // null where that lane has returned

// A block's shared memory: one array per declaration (`key`), the same for all lanes; and the launch's
// dynamic bytes.
void* shared_array(const void* key, std::size_t bytes, Place place);
void* dynamic_shared_bytes();

void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t zeros);
void commit_async();
void wait_async(int groups_left, Place place);

[[noreturn]] void mistake(const char* what, Place place);

template <class T>
T exchange(T value, unsigned lane, Place place) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16);
  publish(&value, sizeof value, place);
  const void* given = read_lane(lane, place);
  if (!given) mistake("a shuffle reads a lane that has returned", place);
  std::memcpy(&value, given, sizeof value);
  return value;
}

inline void require_full(unsigned mask, Place place) {
  if (mask != kFullMask) mistake("a mask that is not full", place);
}

}  // namespace bp::simt

#define threadIdx (::bp::simt::here->thread)
#define blockIdx (::bp::simt::here->block)
#define blockDim (::bp::simt::here->threads)
#define gridDim (::bp::simt::here->blocks)

inline void __syncthreads(bp::simt::Place place = bp::simt::Place::current()) {
  bp::simt::sync_block(place);
}
inline void __syncwarp(unsigned mask = bp::simt::kFullMask,
                       bp::simt::Place place = bp::simt::Place::current()) {
  bp::simt::require_full(mask, place);
  bp::simt::sync_warp(place);
}

// A lane outside of its group of `width` gets its own value, as on a GPU.
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              bp::simt::Place place = bp::simt::Place::current()) {
  bp::simt::require_full(mask, place);
  const unsigned w = static_cast<unsigned>(width), lane = bp::simt::here->lane;
  return bp::simt::exchange(value, (lane & ~(w - 1)) + (static_cast<unsigned>(from) & (w - 1)), place);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32,
                  bp::simt::Place place = bp::simt::Place::current()) {
  bp::simt::require_full(mask, place);
  const unsigned w = static_cast<unsigned>(width), lane = bp::simt::here->lane;
  const unsigned from = lane ^ static_cast<unsigned>(with);
  return bp::simt::exchange(value, from / w == lane / w ? from : lane, place);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                   bp::simt::Place place = bp::simt::Place::current()) {
  bp::simt::require_full(mask, place);
  const unsigned w = static_cast<unsigned>(width), lane = bp::simt::here->lane;
  return bp::simt::exchange(value, lane % w + by < w ? lane + by : lane, place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                 bp::simt::Place place = bp::simt::Place::current()) {
  bp::simt::require_full(mask, place);
  const unsigned w = static_cast<unsigned>(width), lane = bp::simt::here->lane;
  return bp::simt::exchange(value, lane % w >= by ? lane - by : lane, place);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              bp::simt::Place place = bp::simt::Place::current()) {
  bp::simt::require_full(mask, place);
  const int mine = predicate != 0;
  bp::simt::publish(&mine, sizeof mine, place);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < bp::simt::kWarp; ++lane) {
    const void* given = bp::simt::read_lane(lane, place);
    if (given && *static_cast<const int*>(given)) votes |= 1u << lane;
  }
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, bp::simt::Place place = bp::simt::Place::current()) {
  return __ballot_sync(mask, predicate, place) != 0;
}
inline int __all_sync(unsigned mask, int predicate, bp::simt::Place place = bp::simt::Place::current()) {
  return __ballot_sync(mask, !predicate, place) == 0;
}

template <class T>
T atomicAdd(T* to, T value) {
  return std::atomic_ref<T>(*to).fetch_add(value, std::memory_order_relaxed);
}
template <class T>
T atomicMax(T* to, T value) {
  std::atomic_ref<T> ref(*to);
  T old = ref.load(std::memory_order_relaxed);
  while (old < value && !ref.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
  return old;
}
inline void __threadfence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

inline float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
template <class T>
T __ldg(const T* p) {
  return *p;
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __ffs(unsigned x) {
  return x ? std::countr_zero(x) + 1 : 0;
}
