// 7. Both products by AMX.
//
// 196 queries are 7 strips of 32 (an eighth is padding) and 196 keys 7 panels, 224 deep in the second
// product: 1.3 times the multiply-adds that are needed, at 8 times the rate. Packing, positions and softmax
// are nearly all that is left. Expected: 1.5 times, and a reason to look at those.
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
  attend_windows<ladder::AmxTile, bf16>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void windows_amx(const k::WindowAttention& p) {
  ladder_avx512::run(p);
}
}  // namespace bp::cpu::ladder
#endif
