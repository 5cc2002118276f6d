// The parts that kernels are made of: bf16, packed loads, reductions, and every instruction that is written
// as PTX, with what it means for the emulator beside it. Fragment layouts are those of the PTX manual
// (mma.m16n8k16, ldmatrix): with g = lane / 4 and t = lane % 4,
//   A [16,16], register i, half h:  row g + 8 (i & 1),  column 2t + 8 (i >> 1) + h
//   B [16,8],  register i, half h:  row 2t + 8 i + h,   column g
//   C [16,8],  element i:           row g + 8 (i >> 1), column 2t + (i & 1)
#pragma once
#include "kernels/cuda/launch.h"

namespace bp::cuda {

using namespace bp::k;

// Conversions of elements. Rounds to nearest even, as kernels/dtype.h does on the host.
__device__ __forceinline__ float load_f32(float x) {
  return x;
}
__device__ __forceinline__ float load_f32(bf16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}
template <class T>
__device__ __forceinline__ T store_as(float x);
template <>
__device__ __forceinline__ float store_as<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 store_as<bf16>(float x) {
#ifdef BP_SIMT
  return to_bf16(x);
#else
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
#endif
}

// Two bf16 in a register, the first in the low half.
__device__ __forceinline__ unsigned pack_bf16(float first, float second) {
#ifdef BP_SIMT
  return to_bf16(first).bits | static_cast<unsigned>(to_bf16(second).bits) << 16;
#else
  unsigned r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  return r;
#endif
}
__device__ __forceinline__ float low_bf16(unsigned pair) {
  return __uint_as_float(pair << 16);
}
__device__ __forceinline__ float high_bf16(unsigned pair) {
  return __uint_as_float(pair & 0xffff0000u);
}

// N elements that are loaded and stored at once; the address must be aligned to all of them (16 bytes at
// most).
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  static_assert(sizeof(T) * N <= 16);
  T v[N];
};
template <class T>
constexpr int kPackOf = 16 / static_cast<int>(sizeof(T));

// A GPU stops at an address that is not aligned, and the emulator does too.
template <int N, class T>
__device__ __forceinline__ Pack<T, N> load_pack(
    const T* p, [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  if (reinterpret_cast<std::uintptr_t>(p) % sizeof(Pack<T, N>) != 0)
    simt::mistake("a packed load from an address that is not aligned", place);
#endif
  return *reinterpret_cast<const Pack<T, N>*>(p);
}
template <int N, class T>
__device__ __forceinline__ void store_pack(
    T* p, const Pack<T, N>& x,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  if (reinterpret_cast<std::uintptr_t>(p) % sizeof(Pack<T, N>) != 0)
    simt::mistake("a packed store to an address that is not aligned", place);
#endif
  *reinterpret_cast<Pack<T, N>*>(p) = x;
}

// Whether rows of `cols` elements beginning at all of these addresses can be read in packs of 16 bytes.
template <class T, class... P>
bool packs(i64 cols, const P*... addresses) {
  return cols % kPackOf<T> == 0 && ((reinterpret_cast<std::uintptr_t>(addresses) % 16 == 0) && ...);
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int with = 16; with > 0; with /= 2) x += __shfl_xor_sync(kFullMask, x, with);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int with = 16; with > 0; with /= 2) x = fmaxf(x, __shfl_xor_sync(kFullMask, x, with));
  return x;
}

// Sum over a block of up to 1024 threads (one-dimensional), the same in every thread and in every run;
// `scratch` holds 32 floats of shared memory and may be used again at once.
__device__ __forceinline__ float block_sum(float x, float* scratch) {
  const unsigned warps = blockDim.x / kWarpSize, warp = threadIdx.x / kWarpSize,
                 lane = threadIdx.x % kWarpSize;
  x = warp_sum(x);
  __syncthreads();  // what a call before this one left there has been read
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  return warp_sum(lane < warps ? scratch[lane] : 0.0f);
}

// 2^x and 1/x as the special function unit computes them: 2 ulp, subnormals are zero.
__device__ __forceinline__ float fast_exp2(float x) {
#ifdef BP_SIMT
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// a b rounded to double before anything is added to it: never part of a fused multiply-add.
__device__ __forceinline__ double separate_product(double a, double b) {
#ifdef BP_SIMT
  const volatile double product = a * b;
  return product;
#else
  return __dmul_rn(a, b);
#endif
}

// C += A B on a warp: bf16 in, f32 sums.
__device__ __forceinline__ void mma_bf16(
    float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2],
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  struct Given {
    unsigned r[4];
  };
  const unsigned lane = simt::here->lane, g = lane / 4, t = lane % 4;
  float sums[4] = {c[0], c[1], c[2], c[3]};
  float as[2][16], bs[2][16];  // the rows g, g + 8 of A, the columns 2t, 2t + 1 of B
  const Given mine_a{{a[0], a[1], a[2], a[3]}};
  simt::publish(&mine_a, sizeof mine_a, place);
  for (unsigned from = 0; from < 4; ++from) {
    const auto* x = static_cast<const Given*>(simt::read_lane(g * 4 + from, place));
    if (!x) simt::mistake("mma with a lane that has returned", place);
    for (unsigned i = 0; i < 4; ++i) {
      as[i & 1][2 * from + 8 * (i >> 1)] = low_bf16(x->r[i]);
      as[i & 1][2 * from + 8 * (i >> 1) + 1] = high_bf16(x->r[i]);
    }
  }
  const Given mine_b{{b[0], b[1], 0, 0}};
  simt::publish(&mine_b, sizeof mine_b, place);
  for (unsigned column = 0; column < 2; ++column)
    for (unsigned from = 0; from < 4; ++from) {
      const auto* x = static_cast<const Given*>(simt::read_lane((2 * t + column) * 4 + from, place));
      if (!x) simt::mistake("mma with a lane that has returned", place);
      for (unsigned i = 0; i < 2; ++i) {
        bs[column][2 * from + 8 * i] = low_bf16(x->r[i]);
        bs[column][2 * from + 8 * i + 1] = high_bf16(x->r[i]);
      }
    }
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k) sums[i] += as[i >> 1][k] * bs[i & 1][k];
  for (unsigned i = 0; i < 4; ++i) c[i] = sums[i];
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Loads N 8x8 matrices of 16-bit elements from shared memory: lane 8 i + r gives the address of row r of
// matrix i (16 bytes, aligned; with two matrices lanes 16 to 31 give what they like). Register i of lane l
// gets columns 2 (l % 4) and the next of row l / 4 of matrix i; transposed, rows 2 (l % 4) and the next of
// column l / 4.
template <int N, bool Transposed>
__device__ __forceinline__ void load_matrices(
    unsigned (&r)[N], const void* row,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
  static_assert(N == 2 || N == 4);
#ifdef BP_SIMT
  const unsigned lane = simt::here->lane;
  if ((lane < 8 * N) && reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
    simt::mistake("ldmatrix from an address that is not aligned to 16", place);
  simt::publish(&row, sizeof row, place);
  for (unsigned i = 0; i < N; ++i) {
    const auto element = [&](unsigned from_row, unsigned column) {
      const void* given = simt::read_lane(8 * i + from_row, place);
      if (!given) simt::mistake("ldmatrix with a lane that has returned", place);
      const std::uint16_t* p;
      std::memcpy(&p, given, sizeof p);
      return static_cast<unsigned>(p[column]);
    };
    const unsigned a = lane / 4, b = 2 * (lane % 4);
    r[i] = Transposed ? element(b, a) | element(b + 1, a) << 16 : element(a, b) | element(a, b + 1) << 16;
  }
  simt::sync_warp(place);  // on a GPU, too, all lanes have read when one goes on
#else
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (N == 4 && !Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  else if constexpr (N == 4)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  else if constexpr (!Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
#endif
}

// Copies 16 bytes from device to shared memory in the background, or zeros where `valid` is false (then the
// source is not read, but must be some address). Copies since the last commit are a group; wait<N> returns
// when all but the last N groups of this thread have arrived; other threads see them after a barrier.
__device__ __forceinline__ void copy_async16(void* shared, const void* global, bool valid = true) {
#ifdef BP_SIMT
  simt::copy_async(shared, global, valid ? 16 : 0, valid ? 0 : 16);
#else
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
#endif
}
__device__ __forceinline__ void commit_copies() {
#ifdef BP_SIMT
  simt::commit_async();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int N>
__device__ __forceinline__ void wait_copies() {
#ifdef BP_SIMT
  simt::wait_async(N, std::source_location::current());
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

// Exact GELU x Phi(x), and its derivative.
__device__ __forceinline__ float gelu_of(float x) {
  return 0.5f * x * (1 + erff(x * 0.70710678f));
}
__device__ __forceinline__ float gelu_slope(float x) {
  return 0.5f * (1 + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
}
__device__ __forceinline__ float activated(Act act, float x) {
  return act == Act::gelu ? gelu_of(x) : act == Act::relu ? fmaxf(x, 0.0f) : x;
}

}  // namespace bp::cuda
