// 4. The window's keys and values packed once, products by register tiles, exponentials in vectors.
//
// A head of a window is 196 keys and values of 64 numbers: 100 KB of panels that stay in the second-level
// cache for all its queries, and a strip's 6 x 196 logits (5 KB) in the first: all keys fit one block, so the
// softmax sees a whole row at once and nothing is corrected. What positions add is a vector for a whole row
// of the window: SAM's terms come from a product of the strip with the tables, TinyViT's biases from a table
// that is mirrored once. Both products are the tiles of the matmul ladder, 8 lanes. Expected: 20 times.
#if defined(__x86_64__)
#include "kernels/threads.h"

#include "kernels/ladders/cpu/heads.h"
#include "kernels/ladders/cpu/window_attention/rungs.h"

#define BP_ISA ladder_avx2
#define BP_ISA_LEVEL 2
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/strips.h"
#include "kernels/ladders/cpu/window_attention/by_strips.h"

static void run(const k::WindowAttention& p) {
  p.dtype == DType::bf16 ? attend_windows<ladder::Avx2Tile, bf16>(p)
                         : attend_windows<ladder::Avx2Tile, float>(p);
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void windows_avx2(const k::WindowAttention& p) {
  ladder_avx2::run(p);
}
}  // namespace bp::cpu::ladder
#endif
