// 3. A sliding window of dy in registers, vectors of 8 channels; first all of dx, then all of dweight.
//
// A walk along a row of inputs keeps the last columns of dy: three loads of dy an input instead of nine. dx's
// walk also holds nine weights, dweight's nine sums, too much for 16 registers, so some are read from the
// stack. Expected: 2 to 4 times. dy is read from memory twice, x once, dx written: 4 maps where 3 would do.
#if defined(__x86_64__)
#include <utility>

#include "kernels/ladders/cpu/depthwise/chunks.h"
#include "kernels/ladders/cpu/depthwise/rungs.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/unrolled.h"
#include "kernels/ladders/cpu/depthwise/backward_walk.h"

static void walk(const k::DepthwiseBackward& p, i64 begin, i64 end, float* sums) {
  p.dtype == DType::bf16 ? walk_rows<bf16>(p, begin, end, sums) : walk_rows<float>(p, begin, end, sums);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void depthwise_backward_avx2(const k::DepthwiseBackward& p) {
  k::DepthwiseBackward dx = p, dweight = p;
  dx.dweight = dweight.dx = nullptr;
  for (const k::DepthwiseBackward& part : {dx, dweight})
    in_chunks(part, false,
              [&](i64 begin, i64 end, float* sums) { ladder_avx2::walk(part, begin, end, sums); });
}
}  // namespace bp::cpu::ladder
#endif
