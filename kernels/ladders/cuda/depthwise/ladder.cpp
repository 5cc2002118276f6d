#include <cstdint>
#include <iterator>

#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/table.h"

namespace bp::cuda {
namespace {

template <class Args>
bool any(const Args& p) {
  return p.n > 0 && p.h > 0 && p.w > 0 && p.c > 0;
}

// Whether channels can be moved `bytes` at a time at all of the addresses.
template <class... P>
bool packed(i64 c, DType dtype, std::uintptr_t bytes, const P*... addresses) {
  return c * static_cast<i64>(size_of(dtype)) % static_cast<i64>(bytes) == 0 &&
         ((reinterpret_cast<std::uintptr_t>(addresses) % bytes == 0) && ...);
}
bool of_16_bytes(const k::Depthwise& p) {
  return any(p) && packed(p.c, p.dtype, 16, p.x, p.weight, p.bias, p.y);
}
bool of_4_channels(const k::Depthwise& p) {
  return any(p) && packed(p.c, p.dtype, 4 * size_of(p.dtype), p.x, p.weight, p.bias, p.y);
}
bool gradients_of_4_channels(const k::DepthwiseBackward& p) {
  return any(p) && packed(p.c, p.dtype, 4 * size_of(p.dtype), p.x, p.weight, p.dy, p.dx);
}
bool both_of_4_channels(const k::DepthwiseBackward& p) {
  return p.dx && p.dweight && gradients_of_4_channels(p);
}

constexpr k::Rung<k::Depthwise> kForward[] = {
    {"1_naive", "A thread per output: nine loads of one element, and index arithmetic for each output.", any,
     depthwise_1_naive},
    {"2_packed",
     "A thread per 16 bytes of channels: an eighth of the instructions (bf16) for the same reads.",
     of_16_bytes, depthwise_2_packed},
    {"3_sliding_columns",
     "A thread walks along a row with three columns of inputs in registers: a third of the reads.",
     of_4_channels, depthwise_3_sliding_columns},
    {"4_shared_tile",
     "A block copies a tile with its halo to shared memory: each input leaves L2 1.4 times, not 3 times.",
     of_16_bytes, depthwise_4_shared_tile},
};

constexpr k::Rung<k::DepthwiseBackward> kBackward[] = {
    {"1_naive", "A thread gathers a dx; a thread adds up a weight's gradient over all pixels, one by one.",
     any, depthwise_backward_1_naive},
    {"2_partial_sums",
     "Blocks add up pieces of the image for the weight, a second kernel adds the pieces; four channels a "
     "thread.",
     gradients_of_4_channels, depthwise_backward_2_partial_sums},
    {"3_fused", "One walk gives both gradients: dy is read once, and neighbours stay in registers.",
     both_of_4_channels, depthwise_backward_3_fused},
};

}  // namespace

k::Ladder<k::Depthwise> depthwise_ladder() {
  return {kForward, static_cast<int>(std::size(kForward))};
}
k::Ladder<k::DepthwiseBackward> depthwise_backward_ladder() {
  return {kBackward, static_cast<int>(std::size(kBackward))};
}

}  // namespace bp::cuda
