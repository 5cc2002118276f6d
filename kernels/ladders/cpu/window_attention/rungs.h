// The rungs of attention in windows, with SAM's relative positions, TinyViT's table of biases, or neither.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

void windows_gathered(const k::WindowAttention& p);
void windows_by_index(const k::WindowAttention& p);
void windows_threads(const k::WindowAttention& p);
void windows_avx2(const k::WindowAttention& p);
void windows_avx512(const k::WindowAttention& p);
void windows_bf16_dot(const k::WindowAttention& p);
void windows_amx(const k::WindowAttention& p);

// Units [begin, end), tokens addressed where they lie: the second rung's work, which the third shares out.
void windows_units_by_index(const k::WindowAttention& p, i64 begin, i64 end);

}  // namespace bp::cpu::ladder
