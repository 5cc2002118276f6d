// Self-attention in windows addressed by index, with SAM's relative positions or TinyViT's table; the kernel
// is attend.h's. A unit is (image, window, head).
#include "kernels/cuda/attend.h"

namespace bp::cuda {
namespace {

template <class T>
void run(const WindowAttention& a) {
  const KeyParts whole{1, static_cast<int>(a.win_h * a.win_w), nullptr, nullptr};
  with_head_size<32, 64, 80, kMostHead>(a.d, [&](auto size) {
    if (a.rel_h)
      attend_with<size()>(Windows<T, Position::relative>(a), whole);
    else
      attend_with<size()>(Windows<T, Position::table>(a), whole);
  });
}

}  // namespace

void window_attention(const WindowAttention& a) {
  if (a.dtype == DType::bf16)
    run<bf16>(a);
  else
    run<float>(a);
}

}  // namespace bp::cuda
