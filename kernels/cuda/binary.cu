// Elementwise functions of two tensors with broadcasting. Floor: y written and every distinct element of a
// and b read once; what repeats comes from the caches. A thread makes 16 bytes of y; where nothing is
// repeated the axes have merged into one and there is no index arithmetic.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/strided.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

template <int N>
__device__ __forceinline__ void apply(BinaryOp op, float (&a)[N], const float (&b)[N]) {
  switch (op) {
    case BinaryOp::add:
#pragma unroll
      for (int k = 0; k < N; ++k) a[k] += b[k];
      break;
    case BinaryOp::sub:
#pragma unroll
      for (int k = 0; k < N; ++k) a[k] -= b[k];
      break;
    case BinaryOp::mul:
#pragma unroll
      for (int k = 0; k < N; ++k) a[k] *= b[k];
      break;
    case BinaryOp::div:
#pragma unroll
      for (int k = 0; k < N; ++k) a[k] /= b[k];
      break;
  }
}

template <class T>
struct Alike {  // a, b and y in the same order
  BinaryOp op;
  const T *a, *b;
  T* y;
  template <int N>
  __device__ void at(i64 i) const {
    float u[N], v[N];
    load_floats(a + i, u);
    load_floats(b + i, v);
    apply(op, u, v);
    store_floats(y + i, u);
  }
};

// N elements along an axis of `stride` from p.
template <int N, class T>
__device__ __forceinline__ void load_along(const T* p, i64 stride, float (&v)[N]) {
  if (N == 1 || stride == 0) {
    const float x = load_f32(*p);
#pragma unroll
    for (int k = 0; k < N; ++k) v[k] = x;
  } else {
    load_floats(p, v);
  }
}

// With N > 1 the last axis has a multiple of N elements, and of strides 0 or 1.
template <class T, int N, class I>
__global__ void __launch_bounds__(kThreads)
    broadcast(BinaryOp op, const T* a, const T* b, T* y, cpu::Axes axes, I packs) {
  const int last = axes.rank - 1;
  const I per_row = static_cast<I>(axes.dims[last]) / N, threads = static_cast<I>(gridDim.x) * kThreads;
  for (I i = static_cast<I>(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += threads) {
    const I row = i / per_row;
    const i64 column = static_cast<i64>(i - row * per_row) * N;
    const Offsets at = offsets_of(axes, last, row);
    float u[N], v[N];
    load_along(a + at.a + column * axes.a[last], axes.a[last], u);
    load_along(b + at.b + column * axes.b[last], axes.b[last], v);
    apply(op, u, v);
    store_floats(y + static_cast<i64>(i) * N, u);
  }
}

template <class T>
bool packable(const T* p, int rank, const i64* strides) {
  const i64 last = strides[rank - 1];
  if (last == 0) return true;
  bool whole = last == 1 && aligned16(p);
  for (int i = 0; i + 1 < rank; ++i) whole &= strides[i] % kPackOf<T> == 0;
  return whole;
}

template <class T>
void run(const Binary& p) {
  const T *a = static_cast<const T*>(p.a), *b = static_cast<const T*>(p.b);
  T* y = static_cast<T*>(p.y);
  const cpu::Axes m = cpu::merge_axes(p.rank, p.dims, p.as, p.bs);
  const i64 n = cpu::numel(m.rank, m.dims);
  if (n == 0) return;
  if (m.rank == 1 && m.a[0] == 1 && m.b[0] == 1)
    return each<kPackOf<T>>(Alike<T>{p.op, a, b, y}, n, aligned16(a, b, y));
  const bool packed = m.dims[m.rank - 1] % kPackOf<T> == 0 && aligned16(y) && packable(a, m.rank, m.a) &&
                      packable(b, m.rank, m.b);
  const i64 packs = packed ? n / kPackOf<T> : n;
  const unsigned blocks = grid_for(packs, kThreads, 8 * multiprocessors());
  with_index(packs, [&](auto zero) {
    using I = decltype(zero);
    if (packed)
      launch(broadcast<T, kPackOf<T>, I>, blocks, kThreads, 0, p.op, a, b, y, m, packs);
    else
      launch(broadcast<T, 1, I>, blocks, kThreads, 0, p.op, a, b, y, m, packs);
  });
}

}  // namespace

void binary(const Binary& a) {
  with_type(a.dtype, [&](auto element) { run<decltype(element)>(a); });
}

}  // namespace bp::cuda
