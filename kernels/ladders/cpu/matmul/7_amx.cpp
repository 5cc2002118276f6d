// 7. AMX: a matrix unit of its own, with registers of 1 KB.
//
// One TDPBF16PS multiplies 16 x 32 by 32 x 16 bf16: 8192 multiply-adds, every 16 cycles, so 512 a cycle where
// the rung before did 64. What it needs is data: the tile is 32 x 32, four registers of sums, because then
// two loads of A and two of B (4 KB) serve four products; one register of sums would load twice the bytes per
// product. The panels are the rung before's; the strip's rows are as AMX wants them. Expected: up to 8 times
// the rung before, less packing and epilogue, which do not get faster.
#if defined(__x86_64__)
#include "kernels/cpu/amx.h"
#include "kernels/cpu/features.h"
#include "kernels/ladders/cpu/matmul/packed.h"
#include "kernels/ladders/cpu/matmul/rungs.h"

namespace bp::cpu::ladder {
namespace {

// Registers 0 to 3 are the sums, 4 and 5 rows of A, 6 and 7 columns of B.
template <class Tiles>
void tile(const bf16* strip, const bf16* panel, i64 depth, float* c, i64 ldc, bool add) {
  constexpr i64 kA = kStripStride * sizeof(bf16), kB = AmxTile::kCols * 2 * sizeof(bf16);
  const i64 kC = ldc * static_cast<i64>(sizeof(float));
  if (add) {
    Tiles::template load<0>(c, kC);
    Tiles::template load<1>(c + 16, kC);
    Tiles::template load<2>(c + 16 * ldc, kC);
    Tiles::template load<3>(c + 16 * ldc + 16, kC);
  } else {
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    Tiles::template zero<2>();
    Tiles::template zero<3>();
  }
  for (i64 q = 0; q < depth; q += AmxTile::kStep) {
    const bf16* const b = panel + q * AmxTile::kCols;
    Tiles::template load<4>(strip + q, kA);
    Tiles::template load<5>(strip + 16 * kStripStride + q, kA);
    Tiles::template load<6>(b, kB);
    Tiles::template load<7>(b + 32, kB);
    Tiles::template dot<0, 4, 6>();
    Tiles::template dot<1, 4, 7>();
    Tiles::template dot<2, 5, 6>();
    Tiles::template dot<3, 5, 7>();
  }
  Tiles::template store<0>(c, kC);
  Tiles::template store<1>(c + 16, kC);
  Tiles::template store<2>(c + 16 * ldc, kC);
  Tiles::template store<3>(c + 16 * ldc + 16, kC);
}

}  // namespace

bool AmxTile::usable() {
  return amx::stand_in() || has_amx();
}
void AmxTile::begin() {
  amx::stand_in() ? amx::StandIn::configure(amx::full_tiles()) : amx::Unit::configure(amx::full_tiles());
}
void AmxTile::end() {
  amx::stand_in() ? amx::StandIn::release() : amx::Unit::release();
}
void AmxTile::run(const bf16* strip, const bf16* panel, i64 depth, float* c, i64 ldc, bool add) {
  amx::stand_in() ? tile<amx::StandIn>(strip, panel, depth, c, ldc, add)
                  : tile<amx::Unit>(strip, panel, depth, c, ldc, add);
}

void matmul_amx(const k::Matmul& p) {
  multiply_packed<AmxTile>(p);
}

}  // namespace bp::cpu::ladder
#endif
