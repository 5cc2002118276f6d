// 3. Sums and weights in registers, columns sliding by, vectors of 8 channels.
//
// A walk along a row for 8 channels: each column of three inputs is loaded once and added to the three
// outputs that see it (stride 1), whose sums are registers until the last tap is in. Three loads and one
// store an output instead of 27 and 9. AVX2's 16 registers do not quite hold 9 weights, 3 sums and 3 inputs,
// so some weights are read from the stack, which costs a load each. Expected: 2 to 4 times, until memory is
// the limit.
#if defined(__x86_64__)
#include <utility>

#include "kernels/ladders/cpu/depthwise/rungs.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/unrolled.h"
#include "kernels/ladders/cpu/depthwise/walk.h"

template <class T>
static void convolve(const k::Depthwise& p) {
  const i64 oh = (p.h - 1) / p.stride + 1;
  for (i64 row = 0; row < p.n * oh; ++row)
    p.stride == 1 ? convolve_rows<1, 1, T>(p, row / oh, row % oh)
                  : convolve_rows<2, 1, T>(p, row / oh, row % oh);
}

static void run(const k::Depthwise& p) {
  p.dtype == DType::bf16 ? convolve<bf16>(p) : convolve<float>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void depthwise_avx2(const k::Depthwise& p) {
  ladder_avx2::run(p);
}
}  // namespace bp::cpu::ladder
#endif
