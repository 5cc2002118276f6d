// 6. Both products by pairs of bf16, P rounded to bf16 on the way.
//
// Half the instructions for the products, half the bytes to pack; softmax and positions as before. Expected:
// 1.3 times.
#if defined(__x86_64__)
#include "kernels/threads.h"

#include "kernels/ladders/cpu/heads.h"
#include "kernels/ladders/cpu/window_attention/rungs.h"

#define BP_ISA ladder_avx512
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/strips.h"
#include "kernels/ladders/cpu/window_attention/by_strips.h"

static void run(const k::WindowAttention& p) {
  attend_windows<ladder::Bf16Tile, bf16>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void windows_bf16_dot(const k::WindowAttention& p) {
  ladder_avx512::run(p);
}
}  // namespace bp::cpu::ladder
#endif
