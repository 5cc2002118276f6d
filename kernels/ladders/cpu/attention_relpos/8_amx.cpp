// 8. Both products by AMX, softmax by AVX-512.
//
// At 512 multiply-adds a cycle the 128 of a logit (SAM-B) take a quarter of a cycle, and the softmax around
// them about one: the exponential is the floor now, and what remains to be gained is there. Keys are padded
// to 32 in depth, so 196 keys of a window would cost as 224. Expected: 2 to 3 times the rung before.
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
  attend_grid<ladder::AmxTile, bf16>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void relpos_amx(const k::WindowAttention& p) {
  ladder_avx512::run(p);
}
}  // namespace bp::cpu::ladder
#endif
