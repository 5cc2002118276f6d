// 3. Eight parameters at a time.
//
// Roots and divisions of 8 take about as long as those of 4: half the cycles a parameter. With memory as the
// limit that shows only where the tensors are in a cache: expected 1.0 to 1.3 times. That a vector width
// gains so little is what there is to learn here: count the bytes first.
#if defined(__x86_64__)
#include "kernels/ladders/cpu/adamw/rungs.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/adamw/update.h"
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {

void adamw_avx2(const k::AdamW& p) {
  AdamWStep step;
  if (!adamw_step(p, step)) return;
  for (i64 k = 0; k < p.count; ++k) ladder_avx2::update(p, step, p.items[k], 0, p.items[k].n);
}

}  // namespace bp::cpu::ladder
#endif
