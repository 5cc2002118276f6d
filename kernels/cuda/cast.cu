// Between f32 and bf16. Floor: both operands moved once.
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

template <class From, class To>
struct Converted {
  const From* x;
  To* y;
  template <int N>
  __device__ void at(i64 i) const {
    float v[N];
    load_floats(x + i, v);
    store_floats(y + i, v);
  }
};

template <class From, class To>
void run(const Cast& a) {
  constexpr int kPack = std::min(kPackOf<From>, kPackOf<To>);
  each<kPack>(Converted<From, To>{static_cast<const From*>(a.x), static_cast<To*>(a.y)}, a.n,
              aligned16(a.x, a.y));
}

}  // namespace

void cast(const Cast& a) {
  const bool from_f32 = a.from == DType::f32, to_f32 = a.to == DType::f32;
  if (from_f32) return to_f32 ? run<float, float>(a) : run<float, bf16>(a);
  return to_f32 ? run<bf16, float>(a) : run<bf16, bf16>(a);
}

}  // namespace bp::cuda
