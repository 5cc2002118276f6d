// The rungs of this ladder, over k::WindowAttention.
#pragma once
#include "kernels/kernels.h"

namespace bp::cuda::windowed {

bool takes_query_blocks(
    const k::WindowAttention&);  // f32 and bf16, windows whose logits fit in shared memory
bool takes_windows_in_shared(
    const k::WindowAttention&);                      // f32 and bf16, heads of 32, 64 or 80, aligned; windows
                                                     // whose keys and values fit in shared memory
bool takes_tensor_cores(const k::WindowAttention&);  // bf16, those heads, aligned; windows of up to 208
                                                     // tokens in up to 16 rows and columns

void gather(const k::WindowAttention&);
void by_index(const k::WindowAttention&);
void window_in_shared(const k::WindowAttention&);
void tensor_cores(const k::WindowAttention&);

}  // namespace bp::cuda::windowed
