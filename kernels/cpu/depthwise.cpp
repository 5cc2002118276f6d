// Depthwise 3x3 convolution with padding 1. A tile of neighbouring outputs shares the loads of weights and of
// inputs; the vectors run over channels, so that memory is read in its order. Pixels outside the image point
// at a row of zeros and outputs outside at a row that nobody reads, so all tiles are alike.
#include <algorithm>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/unrolled.h"

#include "kernels/cpu/depthwise.h"
#include "kernels/cpu/depthwise_tile.h"

namespace {

template <int stride, class T>
void run(const k::Depthwise& p) {
  const i64 oh = (p.h - 1) / stride + 1, ow = (p.w - 1) / stride + 1, c = p.c;
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  T* const zeros = scratch<T>(0, c);
  for (i64 i = 0; i < c; ++i) zeros[i] = T{};
  const Blocks blocks(p.n, oh, ow, c);
  const bool past_caches = streams(y, p.n * oh * ow * c, c);
  parallel_for(blocks.count(), 1, [&](i64 begin, i64 end) {
    T* const nobody = scratch<T>(4, c);
    float* const kept = scratch<float>(5, kOutputs * c);
    const Outputs<float> to_kept(kept, kTileRows, kTileCols, c, 0, 0, nullptr);
    for (i64 k = begin; k < end; ++k)
      blocks.each_tile(k, [&](i64 image, i64 row, i64 col) {
        const Inputs<stride, T> in(x + image * p.h * p.w * c, p.h, p.w, c, row * stride - 1, col * stride - 1,
                                   zeros);
        const Outputs<T> out(y + image * oh * ow * c, oh, ow, c, row, col, nobody);
        if (p.act == k::Act::none) return convolve_tile<stride, T>(in, out, p, past_caches);
        convolve_tile<stride, T>(in, to_kept, p, false);
        activate_tile(kept, out, p, past_caches);
      });
    past_fence();
  });
}

template <class T>
void run(const k::Depthwise& p) {
  p.stride == 1 ? run<1, T>(p) : run<2, T>(p);
}

}  // namespace

void depthwise(const k::Depthwise& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
