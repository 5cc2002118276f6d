// What a step of AdamW does to N elements, for all rungs: the arithmetic is the same, launches and passes
// over memory differ.
#pragma once
#include "kernels/ladders/cuda/memory.h"

namespace bp::cuda::memory_ladder {

using Item = AdamW::Item;

// The same for all tensors. *grad_scale is the gradients' factor, or -1 where one is not finite.
struct Common {
  const float *schedule, *grad_scale;
  float beta1, beta2, eps;
};
struct Step {
  float lr, decay, m_scale, v_scale, average_step, grad_scale, beta1, beta2, eps;
};
__device__ __forceinline__ Step step_of(const Common& c, const Item& t, float grad_scale) {
  return {c.schedule[0] * t.lr_scale,
          t.decay,
          c.schedule[1],
          c.schedule[2],
          c.schedule[3],
          grad_scale,
          c.beta1,
          c.beta2,
          c.eps};
}

__device__ __forceinline__ void update(const Step& s, float g, float& w, float& m, float& v) {
  g *= s.grad_scale;
  w -= s.lr * s.decay * w;
  m += (1 - s.beta1) * (g - m);
  v += (1 - s.beta2) * (g * g - v);
  w -= s.lr * (m * s.m_scale) / (sqrtf(v) * s.v_scale + s.eps);
}

// Elements i to i + N - 1 of a tensor whose gradient is of type T: the update, and what follows from the new
// weights.
template <int N, class T>
__device__ __forceinline__ void update_weights(const Step& s, const Item& t, i64 i, float (&w)[N]) {
  float g[N], m[N], v[N];
  load_floats(static_cast<const T*>(t.grad) + i, g);
  load_floats(t.w + i, w);
  load_floats(t.m + i, m);
  load_floats(t.v + i, v);
#pragma unroll
  for (int k = 0; k < N; ++k) update(s, g[k], w[k], m[k], v[k]);
  store_floats(t.w + i, w);
  store_floats(t.m + i, m);
  store_floats(t.v + i, v);
}
template <int N, class T>
__device__ __forceinline__ void follow_weights(const Step& s, const Item& t, i64 i, const float (&w)[N]) {
  if (t.grad && t.copy) store_floats(static_cast<T*>(t.copy) + i, w);
  if (!t.average) return;
  float average[N];
  load_floats(t.average + i, average);
#pragma unroll
  for (int k = 0; k < N; ++k) average[k] += s.average_step * (w[k] - average[k]);
  store_floats(t.average + i, average);
}

// Whether a tensor may be moved in packs of four.
__host__ __device__ inline bool in_packs(const Item& t) {
  const auto bits = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  return (bits(t.w) | bits(t.m) | bits(t.v) | bits(t.average) | bits(t.copy) | bits(t.grad)) % 16 == 0;
}

// The gradients' factor from the squares of their norms, summed by one warp in a fixed order; the same in all
// of its lanes.
__device__ __forceinline__ float grad_scale_of(const float* squares, i64 count, double clip) {
  constexpr float kLargest = 3.402823466e38f;
  double sum = 0;
  int finite = 1;
  for (i64 i = threadIdx.x % kWarpSize; i < count; i += kWarpSize) {
    finite &= squares[i] <= kLargest;  // false for NaN, too
    sum += static_cast<double>(squares[i]);
  }
#pragma unroll
  for (int with = 16; with > 0; with /= 2) sum += __shfl_xor_sync(kFullMask, sum, with);
  if (!__all_sync(kFullMask, finite)) return -1;
  const double norm = sqrt(sum);
  return clip > 0 && norm > clip ? static_cast<float>(clip / norm) : 1.0f;
}

// Rungs 1 to 4: a launch of its own leaves the factor in device memory for the others.
Common prepare(const AdamW& a);

}  // namespace bp::cuda::memory_ladder
