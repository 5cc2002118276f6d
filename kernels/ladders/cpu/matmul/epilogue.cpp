#include "kernels/ladders/cpu/matmul/epilogue.h"

#include <cmath>

namespace bp::cpu::ladder {
namespace {

void activate(k::Act act, i64 n, float* v) {
  if (act == k::Act::relu)
    for (i64 j = 0; j < n; ++j) v[j] = v[j] > 0 ? v[j] : 0;
  if (act == k::Act::gelu)
    for (i64 j = 0; j < n; ++j) v[j] = 0.5f * v[j] * (1 + std::erf(v[j] * 0.70710678f));
}

template <class T>
void finish(const k::Matmul& p, i64 batch, i64 row, i64 column, i64 n, const float* sums) {
  const i64 at = batch * p.c_batch + row * p.ldc + column;
  T* const c = static_cast<T*>(p.c) + at;
  float v[kMaxColumns];
  for (i64 j = 0; j < n; ++j) v[j] = p.alpha * sums[j];
  const auto add = [&](const T* x) {
    for (i64 j = 0; j < n; ++j) v[j] += to_f32(x[j]);
  };
  if (p.accumulate) {
    add(c);
  } else {
    if (p.bias) add(static_cast<const T*>(p.bias) + column);
    activate(p.act, n, v);
    if (p.residual) add(static_cast<const T*>(p.residual) + at);
  }
  for (i64 j = 0; j < n; ++j) c[j] = from_f32<T>(v[j]);
}

}  // namespace

void finish_row(const k::Matmul& p, i64 batch, i64 row, i64 column, i64 n, const float* sums) {
  p.dtype == DType::bf16 ? finish<bf16>(p, batch, row, column, n, sums)
                         : finish<float>(p, batch, row, column, n, sums);
}

}  // namespace bp::cpu::ladder
