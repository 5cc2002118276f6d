// 7. Both products by pairs of bf16: P is rounded to bf16 too, as it is on a GPU.
//
// The products take half the instructions. The exponentials stay what they were: of the rung before's cycles
// a logit, 4 are products at SAM-B's width of 64 (128 multiply-adds at 32 a cycle) and about 1 is softmax;
// with the products at 2, softmax is a third. Expected: 1.5 times rather than 2. Rounding P costs 2^-9 of a
// weight, with errors of both signs that average out over the keys; maxima and sums stay f32.
#if defined(__x86_64__)
#include "kernels/threads.h"

#include "kernels/ladders/cpu/attention_relpos/rungs.h"
#include "kernels/ladders/cpu/heads.h"

#define BP_ISA ladder_avx512
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/strips.h"
#include "kernels/ladders/cpu/attention_relpos/in_tile.h"

static void run(const k::WindowAttention& p) {
  attend_grid<ladder::Bf16Tile, bf16>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void relpos_bf16_dot(const k::WindowAttention& p) {
  ladder_avx512::run(p);
}
}  // namespace bp::cpu::ladder
#endif
