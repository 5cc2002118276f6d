// 4. Both products by the register tiles of the matmul ladder's fourth rung, and exponentials eight at a
// time.
//
// 2 x 4096 x 64 multiply-adds a query and head (SAM-B) now run at a matrix product's speed, 8 lanes with
// their sums in registers. The exponential, one call of the library's for each of 4096 logits, becomes a
// polynomial on vectors (kernels/cpu/simd.h): about 20 instructions for 8 numbers. Expected: 4 to 8 times.
// The relative terms are still computed as before, number by number: at 128 of them a query they are 1.5 % of
// all multiply-adds, but at 1/30 of the speed a third of the time.
#if defined(__x86_64__)
#include <algorithm>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/attention_relpos/rungs.h"
#include "kernels/ladders/cpu/heads.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/strips.h"
namespace {

using ladder::Unit;
using ladder::Windows;
using Tile = ladder::Avx2Tile;

template <class T>
void attend_grid(const k::WindowAttention& p) {
  const Windows<T> grid(p);
  const i64 tokens = grid.tokens, width = p.win_h + p.win_w;
  float* const terms = scratch<float>(0, tokens * width + kLanes);
  const Head<Tile> head(tokens, p.d, scratch<float>(1, Head<Tile>::size(tokens, p.d)));
  for (i64 u = 0; u < Unit<T>::count(grid); ++u) {
    const Unit unit(grid, u);
    parallel_for(tokens, ladder::kOnlineQueries,
                 [&](i64 begin, i64 end) { ladder::relpos_terms(p, u, begin, end, terms); });
    parallel_for(head.panels(), 1, [&](i64 begin, i64 end) {
      for (i64 i = begin; i < end; ++i) head.pack(i, unit);
    });
    parallel_for(tokens, Tile::kRows, [&](i64 begin, i64 end) {
      const Strip<Tile> strip(scratch_bytes(4, static_cast<std::size_t>(Strip<Tile>::bytes(p.d))), p.d);
      const int rows = static_cast<int>(end - begin);
      ladder::pack_queries<Tile>(unit, begin, rows, strip.q);
      attend(
          head, rows, p.scale, strip,
          [&](int i, i64 key0, i64 n, float* out) {
            const float *const by_row = terms + (begin + i) * width, *const by_column = by_row + p.win_h;
            spread(
                p.win_w, key0, n, [&](i64) { return by_column; }, [&](i64 ky) { return by_row[ky]; }, out);
            return true;
          },
          [&](int i, const float* o, float inverse, float lse) {
            store_scaled(unit.output(begin + i), o, inverse, p.d);
            unit.write_lse(begin + i, lse);
          });
    });
  }
}

void run(const k::WindowAttention& p) {
  p.dtype == DType::bf16 ? attend_grid<bf16>(p) : attend_grid<float>(p);
}

}  // namespace
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void relpos_avx2(const k::WindowAttention& p) {
  ladder_avx2::run(p);
}
}  // namespace bp::cpu::ladder
#endif
