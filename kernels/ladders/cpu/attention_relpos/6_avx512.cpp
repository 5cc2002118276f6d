// 6. Vectors of 16: the same text with the matmul ladder's tiles of 14 x 32 sums.
//
// Products and exponentials both take twice the lanes, and 14 queries share each load of keys and values
// instead of 6. Expected: up to twice.
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
  p.dtype == DType::bf16 ? attend_grid<ladder::Avx512Tile, bf16>(p)
                         : attend_grid<ladder::Avx512Tile, float>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void relpos_avx512(const k::WindowAttention& p) {
  ladder_avx512::run(p);
}
}  // namespace bp::cpu::ladder
#endif
