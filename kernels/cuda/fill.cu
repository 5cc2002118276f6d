// One value everywhere. Floor: n elements written.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

template <class T>
struct Filled {
  T* y;
  T value;
  template <int N>
  __device__ void at(i64 i) const {
    Pack<T, N> pack;
#pragma unroll
    for (int k = 0; k < N; ++k) pack.v[k] = value;
    store_pack<N>(y + i, pack);
  }
};

template <class T>
void run(const Fill& a, T value) {
  each<kPackOf<T>>(Filled<T>{static_cast<T*>(a.y), value}, a.n, aligned16(a.y));
}

}  // namespace

void fill(const Fill& a) {
  switch (a.dtype) {
    case DType::f32:
      return run(a, a.value);
    case DType::bf16:
      return run(a, to_bf16(a.value));
    case DType::i32:
      return run(a, static_cast<std::int32_t>(a.value));
    case DType::u8:
      return run(a, static_cast<u8>(a.value));
  }
}

}  // namespace bp::cuda
