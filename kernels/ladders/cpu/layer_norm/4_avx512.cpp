// 4. Vectors of 16: the same text.
//
// Half the instructions, the same bytes. Where one core already waits for memory nothing is gained; where the
// matrix is in a cache (small maps, bf16) up to twice. The prediction for 13 MB of f32: 1.0 to 1.2 times.
#if defined(__x86_64__)
#include "kernels/ladders/cpu/layer_norm/rungs.h"

#define BP_ISA ladder_avx512
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/layer_norm/rows.h"

static void run(const k::LayerNorm& p, i64 begin, i64 end) {
  p.dtype == DType::bf16 ? normalise_rows<bf16>(p, begin, end) : normalise_rows<float>(p, begin, end);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void layer_norm_rows_avx512(const k::LayerNorm& p, i64 begin, i64 end) {
  ladder_avx512::run(p, begin, end);
}
void layer_norm_avx512(const k::LayerNorm& p) {
  layer_norm_rows_avx512(p, 0, p.rows);
}
}  // namespace bp::cpu::ladder
#endif
