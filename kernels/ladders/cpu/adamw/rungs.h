// The rungs of AdamW over a list of tensors. All take everything that k::AdamW allows.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

void adamw_passes(const k::AdamW& p);
void adamw_fused(const k::AdamW& p);
void adamw_avx2(const k::AdamW& p);
void adamw_avx512(const k::AdamW& p);
void adamw_threads(const k::AdamW& p);

struct AdamWStep {  // what is the same for all tensors
  float lr, m_scale, v_scale, average_step, grad_scale;
};
// False where a gradient is not finite and nothing may be written.
bool adamw_step(const k::AdamW& p, AdamWStep& step);

// Numbers [begin, end) of a tensor: the fourth rung's work, which the fifth shares out.
void adamw_update_avx512(const k::AdamW& p, const AdamWStep& step, const k::AdamW::Item& item, i64 begin,
                         i64 end);

}  // namespace bp::cpu::ladder
