// 4. Sixteen at a time: the same text.
//
// A vector is a whole cache line now, and half as many instructions move the same bytes. Where memory is the
// limit, expected: nothing; the rung is here to be measured, and for the next one.
#if defined(__x86_64__)
#include "kernels/ladders/cpu/adamw/rungs.h"

#define BP_ISA ladder_avx512
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/adamw/update.h"
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {

void adamw_update_avx512(const k::AdamW& p, const AdamWStep& step, const k::AdamW::Item& item, i64 begin,
                         i64 end) {
  ladder_avx512::update(p, step, item, begin, end);
}

void adamw_avx512(const k::AdamW& p) {
  AdamWStep step;
  if (!adamw_step(p, step)) return;
  for (i64 k = 0; k < p.count; ++k) adamw_update_avx512(p, step, p.items[k], 0, p.items[k].n);
}

}  // namespace bp::cpu::ladder
#endif
