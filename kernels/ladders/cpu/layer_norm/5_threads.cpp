// 5. Rows on all cores, about 64 KB a task.
//
// One core cannot use all of a memory's bandwidth: it can only wait for a few tens of cache lines at once.
// The gain is less than the number of cores where a few of them fill the bandwidth: on a server 4 to 8 cores
// do.
#if defined(__x86_64__)
#include "kernels/threads.h"

#include "kernels/ladders/cpu/layer_norm/rungs.h"

namespace bp::cpu::ladder {
void layer_norm_threads(const k::LayerNorm& p) {
  parallel_for(p.rows, layer_norm_grain(p.cols),
               [&](i64 begin, i64 end) { layer_norm_rows_avx512(p, begin, end); });
}
}  // namespace bp::cpu::ladder
#endif
