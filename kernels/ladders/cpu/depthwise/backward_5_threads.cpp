// 5. Chunks of 16 rows on all cores.
//
// Each chunk has its own sums of dweight (9 c floats: 9 KB at 256 channels, in the first-level cache while
// the chunk lasts), added in order at the end: no locks, and the same bits on any number of threads.
// Expected: the number of cores until the memory's bandwidth is full.
#if defined(__x86_64__)
#include "kernels/ladders/cpu/depthwise/chunks.h"
#include "kernels/ladders/cpu/depthwise/rungs.h"

namespace bp::cpu::ladder {
void depthwise_backward_threads(const k::DepthwiseBackward& p) {
  in_chunks(p, true,
            [&](i64 begin, i64 end, float* sums) { depthwise_gradients_avx512(p, begin, end, sums); });
}
}  // namespace bp::cpu::ladder
#endif
