// What the tests of the CPU's attention share (cpu_attention_test, cpu_attention_backward_test).
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/cpu/dispatch.h"
#include "tests/ladders_cpu_case.h"

namespace bp::testing {

template <class T>
std::vector<T> random(i64 n, unsigned seed, float size = 1.5f) {
  std::vector<T> v;
  for (float x : numbers(n, seed, -size, size)) v.push_back(from_f32<T>(x));
  return v;
}
template <class T>
constexpr DType kType = std::is_same_v<T, float> ? DType::f32 : DType::bf16;

// The larger difference; infinite where there is anything but a number.
inline double worse(double error, double wanted, double got) {
  const double difference = std::abs(wanted - got);
  return std::isfinite(difference) ? std::max(error, difference) : INFINITY;
}

struct Grid {
  i64 h, w, heads, d, win_h, win_w;
  bool relative, per_head;
};

// Self-attention inside the windows of one image; scale 0.25.
template <class T>
k::WindowAttention grid_attention(const Grid& g, const std::vector<T>& qkv, const std::vector<T>& pad,
                                  const T* rel_h, const T* rel_w, const T* bias, std::vector<T>& y,
                                  std::vector<float>& lse) {
  return {.qkv = qkv.data(),
          .pad = pad.data(),
          .rel_h = rel_h,
          .rel_w = rel_w,
          .bias = bias,
          .y = y.data(),
          .lse = lse.data(),
          .batch = 1,
          .h = g.h,
          .w = g.w,
          .heads = g.heads,
          .d = g.d,
          .win_h = g.win_h,
          .win_w = g.win_w,
          .per_head = g.per_head,
          .scale = 0.25f,
          .dtype = kType<T>};
}

}  // namespace bp::testing
