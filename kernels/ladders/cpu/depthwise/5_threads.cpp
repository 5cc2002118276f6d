// 5. Pairs of rows on all cores.
//
// Tasks of about 64 KB of outputs in the order of memory, so that the rows that two tasks both read are in a
// shared cache still. Expected: the number of cores until the memory's bandwidth is full.
#if defined(__x86_64__)
#include "kernels/threads.h"

#include "kernels/ladders/cpu/depthwise/rungs.h"

namespace bp::cpu::ladder {
void depthwise_threads(const k::Depthwise& p) {
  const i64 outputs = 2 * depthwise_out(p.w, p.stride) * p.c, grain = 16384 / outputs;
  parallel_for(depthwise_pairs(p), grain > 1 ? grain : 1,
               [&](i64 begin, i64 end) { depthwise_pairs_avx512(p, begin, end); });
}
}  // namespace bp::cpu::ladder
#endif
