// The rungs of this ladder, over k::WindowAttention.
#pragma once
#include "kernels/kernels.h"

namespace bp::cuda::windowed {

// In f32 and bf16, windows whose logits of one query fit in shared memory.
bool takes_query_blocks(const k::WindowAttention&);
// In f32 and bf16, heads of 32, 64 or 80 aligned to 16 bytes, windows whose keys and values fit there in f32.
bool takes_windows_in_shared(const k::WindowAttention&);
// In bf16, the same heads, windows of up to 208 tokens in up to 16 rows and columns.
bool takes_tensor_cores(const k::WindowAttention&);

void gather(const k::WindowAttention&);
void by_index(const k::WindowAttention&);
void window_in_shared(const k::WindowAttention&);
void tensor_cores(const k::WindowAttention&);

}  // namespace bp::cuda::windowed
