// 4. Sums that stay in registers: tiles of 6 x 16 by AVX2's multiply-adds, from packed operands.
//
// The rung before moved three vectors for each that it multiplied. A tile of 6 x 2 vectors keeps its 12 sums
// in 12 of the 16 registers; one step in depth loads 2 vectors of B and broadcasts 6 numbers of A: 8 loads
// for 12 multiply-adds of 8 lanes, which the two load ports and the two multiply-add ports finish in the same
// 6 cycles. Strip and panel are packed, so that loads run straight through memory. Expected: from 4 lanes
// with 3 memory operations each to 8 lanes with 2/3 of one, 4 to 8 times.
#if defined(__x86_64__)
#include "kernels/cpu/features.h"
#include "kernels/ladders/cpu/matmul/packed.h"
#include "kernels/ladders/cpu/matmul/rungs.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/matmul/fma_tile.h"

static void tile(const float* strip, const float* panel, i64 depth, float* c, i64 ldc, bool add) {
  fma_tile<ladder::Avx2Tile::kRows>(strip, panel, depth, c, ldc, add);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {

bool Avx2Tile::usable() {
  return has_avx2();
}
void Avx2Tile::run(const float* strip, const float* panel, i64 depth, float* c, i64 ldc, bool add) {
  ladder_avx2::tile(strip, panel, depth, c, ldc, add);
}

void matmul_avx2(const k::Matmul& p) {
  multiply_packed<Avx2Tile>(p);
}

}  // namespace bp::cpu::ladder
#endif
