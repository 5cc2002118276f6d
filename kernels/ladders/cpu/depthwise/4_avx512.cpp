// 4. Vectors of 16, and two rows of outputs at once.
//
// 32 registers hold 9 weights, 6 sums and 4 inputs: a column of four inputs serves two rows of outputs, so an
// output takes two loads instead of three (2.5 instead of 3 at stride 2), and two sums wait for an addition
// by turns. Expected: 1.5 to 2 times in a cache, little where memory is the limit already.
#if defined(__x86_64__)
#include <utility>

#include "kernels/ladders/cpu/depthwise/rungs.h"

#define BP_ISA ladder_avx512
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/unrolled.h"
#include "kernels/ladders/cpu/depthwise/walk.h"

template <int stride, class T>
static void convolve(const k::Depthwise& p, i64 begin, i64 end) {
  const i64 oh = (p.h - 1) / stride + 1, pairs = (oh + 1) / 2;
  for (i64 pair = begin; pair < end; ++pair) {
    const i64 image = pair / pairs, oy = pair % pairs * 2;
    oy + 1 < oh ? convolve_rows<stride, 2, T>(p, image, oy) : convolve_rows<stride, 1, T>(p, image, oy);
  }
}

template <class T>
static void convolve(const k::Depthwise& p, i64 begin, i64 end) {
  p.stride == 1 ? convolve<1, T>(p, begin, end) : convolve<2, T>(p, begin, end);
}

static void run(const k::Depthwise& p, i64 begin, i64 end) {
  p.dtype == DType::bf16 ? convolve<bf16>(p, begin, end) : convolve<float>(p, begin, end);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void depthwise_pairs_avx512(const k::Depthwise& p, i64 begin, i64 end) {
  ladder_avx512::run(p, begin, end);
}
void depthwise_avx512(const k::Depthwise& p) {
  depthwise_pairs_avx512(p, 0, depthwise_pairs(p));
}
}  // namespace bp::cpu::ladder
#endif
