#include "kernels/ladders/cpu/matmul/epilogue.h"

#include "kernels/ladders/cpu/activation.h"

namespace bp::cpu::ladder {
namespace {

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
    if (p.act != k::Act::none)
      for (i64 j = 0; j < n; ++j) v[j] = activate(p.act, v[j]);
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
