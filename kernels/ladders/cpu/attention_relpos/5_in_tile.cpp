// 5. Relative positions in the tile.
//
// The relative terms of a strip of queries are the strip times the two tables: products like the others, on
// operands that are packed already. All 2 side - 1 rows of a table are multiplied, where a query needs only
// `side` of them: 254 more columns beside 4096 (6 %, of the first product only), but at full speed, where
// number by number 128 took a third of the time. They are 6 KB of the first-level cache a strip instead of 2
// MB of memory a head, written and read. Expected: 1.3 to 1.5 times.
#if defined(__x86_64__)
#include "kernels/threads.h"

#include "kernels/ladders/cpu/attention_relpos/rungs.h"
#include "kernels/ladders/cpu/heads.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/strips.h"
#include "kernels/ladders/cpu/attention_relpos/in_tile.h"

static void run(const k::WindowAttention& p) {
  p.dtype == DType::bf16 ? attend_grid<ladder::Avx2Tile, bf16>(p) : attend_grid<ladder::Avx2Tile, float>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void relpos_in_tile(const k::WindowAttention& p) {
  ladder_avx2::run(p);
}
}  // namespace bp::cpu::ladder
#endif
