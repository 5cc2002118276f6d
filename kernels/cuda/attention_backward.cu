// Gradients of attention between lists; the kernels are attend_backward.h's.
#include "kernels/cuda/attend_backward.h"

namespace bp::cuda {
namespace {

template <class T>
void run(const AttentionBackward& b) {
  const Attention& a = b.forward;
  const Lists<T> lists(a);
  const auto* dout = static_cast<const T*>(b.dout);
  auto *dq = static_cast<T*>(b.dq), *dk = static_cast<T*>(b.dk), *dv = static_cast<T*>(b.dv);
  Gradients<Lists<T>> source{lists,
                             dout,
                             {dq, dk, dv},
                             workspace<float2>(0, lists.units * a.nq),
                             nullptr,
                             nullptr,
                             lists.packed && packs<T>(a.d, dout)};
  source.pairs = can_pair<T>(a.d, dq) && can_pair<T>(a.d, dk) && can_pair<T>(a.d, dv);
  attend_backward(source);
}

}  // namespace

void attention_backward(const AttentionBackward& b) {
  if (b.forward.dtype == DType::bf16)
    run<bf16>(b);
  else
    run<float>(b);
}

}  // namespace bp::cuda
