// A thread that owns one query of attention: the query, its output and its running softmax are in registers,
// and all threads of a block go over the same keys. Keys and values are rows of D floats in shared memory;
// since all lanes of a warp read the same address, each read serves the whole warp.
#pragma once
#include "kernels/ladders/cuda/attention.h"

namespace bp::cuda {

template <int D>
struct ThreadQuery {
  float q[D], o[D];
  float top = -__builtin_inff(), sum = 0.0f;  // largest logit so far, and sum of 2^(logit - top)

  template <class T>
  __device__ __forceinline__ explicit ThreadQuery(const T* row) {
#pragma unroll
    for (int c = 0; c < D; c += kPackOf<T>) {
      const auto part = load_pack<kPackOf<T>>(row + c);
#pragma unroll
      for (int e = 0; e < kPackOf<T>; ++e) {
        q[c + e] = load_f32(part.v[e]);
        o[c + e] = 0.0f;
      }
    }
  }

  // q . row, a row in memory of which this thread reads all.
  template <class T>
  __device__ __forceinline__ float dot(const T* row) const {
    float product = 0.0f;
#pragma unroll
    for (int c = 0; c < D; c += kPackOf<T>) {
      const auto part = load_pack<kPackOf<T>>(row + c);
#pragma unroll
      for (int e = 0; e < kPackOf<T>; ++e) product += q[c + e] * load_f32(part.v[e]);
    }
    return product;
  }

  // s[j] = q . keys[j]
  template <int N>
  __device__ __forceinline__ void dots(float (&s)[N], const float* keys) const {
#pragma unroll
    for (int j = 0; j < N; ++j) s[j] = 0.0f;
#pragma unroll
    for (int c = 0; c < D; c += 4)
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const auto k = load_pack<4>(keys + j * D + c);
#pragma unroll
        for (int e = 0; e < 4; ++e) s[j] += q[c + e] * k.v[e];
      }
  }

  // Takes in N values with their logits; a logit of -infinity leaves its value out.
  template <int N>
  __device__ __forceinline__ void add(const float (&logits)[N], const float* values) {
    float now = top;
#pragma unroll
    for (int j = 0; j < N; ++j) now = fmaxf(now, logits[j]);
    const float shrink = fast_exp2(top - now);  // what has been summed so far was relative to the old maximum
    top = now;
    sum *= shrink;
#pragma unroll
    for (int c = 0; c < D; ++c) o[c] *= shrink;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float p = fast_exp2(logits[j] - top);
      sum += p;
#pragma unroll
      for (int c = 0; c < D; c += 4) {
        const auto v = load_pack<4>(values + j * D + c);
#pragma unroll
        for (int e = 0; e < 4; ++e) o[c + e] += p * v.v[e];
      }
    }
  }

  template <class T>
  __device__ __forceinline__ void store(T* to) const {
    const float share = 1 / sum;
#pragma unroll
    for (int c = 0; c < D; c += kPackOf<T>) {
      Pack<T, kPackOf<T>> part;
#pragma unroll
      for (int e = 0; e < kPackOf<T>; ++e) part.v[e] = store_as<T>(o[c + e] * share);
      store_pack(to + c, part);
    }
  }
  __device__ __forceinline__ float lse() const {
    return top / kLog2E + logf(sum);
  }
};

}  // namespace bp::cuda
