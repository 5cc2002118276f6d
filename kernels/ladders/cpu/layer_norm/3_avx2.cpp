// 3. Vectors of 8, and four sums by turns.
//
// An addition takes about four cycles but another can begin in each: with four sums of 8 lanes a sum takes in
// 8 numbers a cycle instead of one in four cycles. A row of 768 is then about 400 cycles for its three walks
// instead of 6000. Expected: 5 to 10 times, until memory is the limit.
#if defined(__x86_64__)
#include "kernels/ladders/cpu/layer_norm/rungs.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/layer_norm/rows.h"

static void run(const k::LayerNorm& p) {
  p.dtype == DType::bf16 ? normalise_rows<bf16>(p, 0, p.rows) : normalise_rows<float>(p, 0, p.rows);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void layer_norm_avx2(const k::LayerNorm& p) {
  ladder_avx2::run(p);
}
}  // namespace bp::cpu::ladder
#endif
