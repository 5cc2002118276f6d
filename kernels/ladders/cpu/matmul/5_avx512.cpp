// 5. The same in vectors of 16 and with 32 registers: tiles of 14 x 32.
//
// Twice the lanes, and the larger tile needs fewer loads: 2 vectors and 14 broadcasts (which AVX-512 folds
// into the multiply-add) for 28 multiply-adds, so that 0.57 loads go with each instead of 0.67, and the
// multiply-adds alone are the limit. Expected: 2 times the rung before where the processor has two 512-bit
// multiply-add units and keeps its clock; no gain where it has one.
#if defined(__x86_64__)
#include "kernels/cpu/features.h"
#include "kernels/ladders/cpu/matmul/packed.h"
#include "kernels/ladders/cpu/matmul/rungs.h"

#define BP_ISA ladder_avx512
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/matmul/fma_tile.h"

static void tile(const float* strip, const float* panel, i64 depth, float* c, i64 ldc, bool add) {
  fma_tile<ladder::Avx512Tile::kRows>(strip, panel, depth, c, ldc, add);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {

bool Avx512Tile::usable() {
  return has_avx512();
}
void Avx512Tile::run(const float* strip, const float* panel, i64 depth, float* c, i64 ldc, bool add) {
  ladder_avx512::tile(strip, panel, depth, c, ldc, add);
}

void matmul_avx512(const k::Matmul& p) {
  multiply_packed<Avx512Tile>(p);
}

}  // namespace bp::cpu::ladder
#endif
