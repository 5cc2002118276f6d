// 5. Vectors of 16: the same text with tiles of 14 x 32 sums.
//
// 196 = 14 x 14: strips fill exactly. 196 keys in panels of 32 are computed as 224, an eighth for nothing (49
// keys, TinyViT's 7 x 7, as 64: a quarter; there rows of 7 also leave half of a vector empty). Packing, 2 x
// 64 numbers a key, is not on vectors and now counts. Expected: 1.5 times.
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
  p.dtype == DType::bf16 ? attend_windows<ladder::Avx512Tile, bf16>(p)
                         : attend_windows<ladder::Avx512Tile, float>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void windows_avx512(const k::WindowAttention& p) {
  ladder_avx512::run(p);
}
}  // namespace bp::cpu::ladder
#endif
