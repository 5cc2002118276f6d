// What kernels have in common that do the same to every element: several elements at once as floats, and the
// grid. They are bound by memory: a thread moves 16 bytes per operand and step.
#pragma once
#include <bit>

#include "kernels/cuda/tile.h"

namespace bp::cuda {

constexpr int kThreads = 256;  // of a block, here and in rows.h and columns.h

// N elements as floats and back; the address is aligned to all of them.
template <int N, class T>
__device__ __forceinline__ void load_floats(const T* p, float (&v)[N]) {
  const Pack<T, N> pack = load_pack<N>(p);
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = load_f32(pack.v[i]);
}
template <int N>
__device__ __forceinline__ void store_floats(float* p, const float (&v)[N]) {
  Pack<float, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.v[i] = v[i];
  store_pack<N>(p, pack);
}
template <int N>
__device__ __forceinline__ void store_floats(bf16* p, const float (&v)[N]) {
  if constexpr (N == 1) {
    *p = store_as<bf16>(v[0]);
  } else {
    Pack<unsigned, N / 2> pairs;
#pragma unroll
    for (int i = 0; i < N / 2; ++i) pairs.v[i] = pack_bf16(v[2 * i], v[2 * i + 1]);
    store_pack<N>(p, std::bit_cast<Pack<bf16, N>>(pairs));
  }
}

template <class... P>
bool aligned16(const P*... addresses) {
  return ((reinterpret_cast<std::uintptr_t>(addresses) % 16 == 0) && ...);
}

// The derivative of an activation.
__device__ __forceinline__ float slope_of(Act act, float x) {
  return act == Act::gelu ? gelu_slope(x) : act == Act::relu ? (x > 0 ? 1.0f : 0.0f) : 1.0f;
}

// Calls f(T()) with float or bf16.
template <class F>
void with_type(DType dtype, const F& f) {
  dtype == DType::f32 ? f(float()) : f(bf16());
}

template <int N, class F>
__global__ void __launch_bounds__(kThreads) each_kernel(F f, i64 n) {
  const i64 first = static_cast<i64>(blockIdx.x) * blockDim.x + threadIdx.x;
  const i64 threads = static_cast<i64>(gridDim.x) * blockDim.x;
  for (i64 i = first; i < n / N; i += threads) f.template at<N>(i * N);
  if constexpr (N > 1) {
    const i64 rest = n / N * N + first;
    if (rest < n) f.template at<1>(rest);
  }
}

// f.at<N>(i) for i = 0, N, 2N, ... and f.at<1>(i) for what is left of n. N is 1 unless all operands are
// aligned to N elements (`packed`).
template <int N, class F>
void each(const F& f, i64 n, bool packed) {
  if (n == 0) return;
  const i64 most = 8 * multiprocessors();  // what can run at once
  if (packed)
    launch(each_kernel<N, F>, grid_for(n, kThreads * N, most), kThreads, 0, f, n);
  else
    launch(each_kernel<1, F>, grid_for(n, kThreads, most), kThreads, 0, f, n);
}

}  // namespace bp::cuda
