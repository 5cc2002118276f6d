// The rungs of attention over a whole grid with SAM's decomposed relative positions.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

void relpos_materialised(const k::WindowAttention& p);
void relpos_online(const k::WindowAttention& p);
void relpos_threads(const k::WindowAttention& p);
void relpos_avx2(const k::WindowAttention& p);
void relpos_in_tile(const k::WindowAttention& p);
void relpos_avx512(const k::WindowAttention& p);
void relpos_bf16_dot(const k::WindowAttention& p);
void relpos_amx(const k::WindowAttention& p);

// The rungs up to the fourth compute a head's relative terms for all queries before they attend:
// terms [tokens][win_h + win_w], for queries [begin, end) of unit u.
void relpos_terms(const k::WindowAttention& p, i64 u, i64 begin, i64 end, float* terms);

// Queries [begin, end), at most kOnlineQueries, of unit u over all its keys: the second rung's work, which
// the third shares out.
constexpr i64 kOnlineQueries = 32;
void relpos_online_queries(const k::WindowAttention& p, i64 u, i64 begin, i64 end, const float* terms);

}  // namespace bp::cpu::ladder
