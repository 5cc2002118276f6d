// The rungs of LayerNorm. All take both types and any sizes.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu::ladder {

void layer_norm_passes(const k::LayerNorm& p);
void layer_norm_rows(const k::LayerNorm& p);
void layer_norm_avx2(const k::LayerNorm& p);
void layer_norm_avx512(const k::LayerNorm& p);
void layer_norm_threads(const k::LayerNorm& p);
void layer_norm_streaming(const k::LayerNorm& p);

// Rows [begin, end): the fourth rung's work, which the fifth shares out.
void layer_norm_rows_avx512(const k::LayerNorm& p, i64 begin, i64 end);

// How many rows are a task: about 64 KB of them.
inline i64 layer_norm_grain(i64 cols) {
  const i64 rows = 16384 / (cols > 0 ? cols : 1);
  return rows > 1 ? rows : 1;
}

}  // namespace bp::cpu::ladder
