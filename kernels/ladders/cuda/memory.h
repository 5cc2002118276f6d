// What the ladders of memory-bound kernels share: neighbours as floats, and the choice of the element type.
#pragma once
#include <bit>

#include "kernels/cuda/tile.h"

namespace bp::cuda::memory_ladder {

// N neighbours as floats and back; the address is aligned to all of them.
template <int N, class T>
__device__ __forceinline__ void load_floats(const T* p, float (&v)[N]) {
  const Pack<T, N> pack = load_pack<N>(p);
#pragma unroll
  for (int i = 0; i < N; ++i) v[i] = load_f32(pack.v[i]);
}
template <int N, class T>
__device__ __forceinline__ void store_floats(T* p, const float (&v)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.v[i] = store_as<T>(v[i]);
  store_pack<N>(p, pack);
}

// Calls f(T()) with float or bf16.
template <class F>
void with_type(DType dtype, const F& f) {
  dtype == DType::f32 ? f(float()) : f(bf16());
}

// Whether all of the addresses are aligned to `bytes`.
template <class... P>
bool aligned(std::size_t bytes, const P*... addresses) {
  return ((reinterpret_cast<std::uintptr_t>(addresses) % bytes == 0) && ...);
}

// As launch() wants it, for one block per `each` of n.
inline unsigned blocks_for(i64 n, i64 each) {
  return static_cast<unsigned>(ceil_div(n, each));
}

}  // namespace bp::cuda::memory_ladder
