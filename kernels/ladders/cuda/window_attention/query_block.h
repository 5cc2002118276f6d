// Attention of one query by one block, for the first rungs: the logits of all keys in shared memory, then
// their softmax, then the product with the values.
#pragma once
#include "kernels/ladders/cuda/window_attention/windows.h"

namespace bp::cuda::windowed {

constexpr int kThreads = 128;

template <class T>
std::size_t query_block_bytes(const Windows<T>& a) {
  return static_cast<std::size_t>(a.d + a.win_h + a.win_w + a.tokens) * sizeof(float);
}

template <class T>
__device__ __forceinline__ float dot(const float* q, const T* row, int d) {
  float sum = 0.0f;
  for (int c = 0; c < d; ++c) sum += q[c] * load_f32(row[c]);
  return sum;
}

// Query t of a unit, whose rows are rows(part, token), to `to` (null: nowhere). `memory` is query_block_bytes
// of shared memory.
template <class T, class Rows>
__device__ __forceinline__ void attend_query(const Windows<T>& a, i64 unit, int t, const Rows& rows, T* to,
                                             float* memory) {
  float *const q = memory, *const positions = q + a.d, *const p = positions + a.win_h + a.win_w;
  const int thread = static_cast<int>(threadIdx.x), y = t / a.win_w, x = t % a.win_w;
  for (int c = thread; c < a.d; c += kThreads) q[c] = load_f32(rows(0, t)[c]);
  __syncthreads();
  // What the query adds for keys in each row, then in each column of the window.
  if (a.rel_h)
    for (int i = thread; i < a.win_h + a.win_w; i += kThreads) {
      const T* const rel = i < a.win_h ? a.rel_h + (y - i + a.win_h - 1) * a.d
                                       : a.rel_w + (x - (i - a.win_h) + a.win_w - 1) * a.d;
      positions[i] = dot(q, rel, a.d) * kLog2E;
    }
  __syncthreads();
  const T* const bias = a.bias ? a.bias + unit % a.heads * a.tokens : nullptr;
  for (int key = thread; key < a.tokens; key += kThreads) {
    const int ky = key / a.win_w, kx = key % a.win_w;
    float s = dot(q, rows(1, key), a.d) * a.scale2;
    if (a.rel_h) s += positions[ky] + positions[a.win_h + kx];
    if (bias) s += load_f32(bias[distance(y, ky) * a.win_w + distance(x, kx)]) * kLog2E;
    p[key] = s;
  }
  __syncthreads();
  // Every warp goes over the whole row, which spares an exchange between them.
  const int lane = thread % kWarpSize;
  float top = -__builtin_inff(), sum = 0.0f;
  for (int key = lane; key < a.tokens; key += kWarpSize) top = fmaxf(top, p[key]);
  top = warp_max(top);
  for (int key = lane; key < a.tokens; key += kWarpSize) sum += fast_exp2(p[key] - top);
  sum = warp_sum(sum);
  if (a.lse && thread == 0) a.lse[unit * a.tokens + t] = top / kLog2E + logf(sum);
  if (!to) return;
  __syncthreads();
  for (int key = thread; key < a.tokens; key += kThreads) p[key] = fast_exp2(p[key] - top) / sum;
  __syncthreads();
  for (int c = thread; c < a.d; c += kThreads) {
    float o = 0.0f;
    for (int key = 0; key < a.tokens; ++key) o += p[key] * load_f32(rows(2, key)[c]);
    to[c] = store_as<T>(o);
  }
}

}  // namespace bp::cuda::windowed
