// The rungs of this ladder. Each takes k::WindowAttention whose one window is the whole grid, with SAM's
// relative positions.
#pragma once
#include "kernels/kernels.h"

namespace bp::cuda::relpos {

bool takes_any_head(const k::WindowAttention&);           // in f32 and bf16
bool takes_vit_heads(const k::WindowAttention&);          // heads of 32, 64 or 80, aligned to 16 bytes
bool takes_tensor_cores(const k::WindowAttention&);       // the same in bf16
bool takes_positions_in_tile(const k::WindowAttention&);  // and a grid whose positions fit in shared memory
bool takes_pipelined(const k::WindowAttention&);          // beside two pairs of tiles

void materialised(const k::WindowAttention&);
void online_softmax(const k::WindowAttention&);
void tensor_cores(const k::WindowAttention&);
void positions_in_tile(const k::WindowAttention&);
void pipelined(const k::WindowAttention&);

}  // namespace bp::cuda::relpos
