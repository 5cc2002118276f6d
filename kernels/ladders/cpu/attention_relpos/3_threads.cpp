// 3. Blocks of 32 queries on all cores.
//
// Online, a block of queries needs nothing of another; with a matrix in memory the cores would have fought
// for the bandwidth to it. SAM's 4096 tokens are 128 blocks a head. The gain is the number of cores.
#include "kernels/threads.h"

#include "kernels/ladders/cpu/attention_relpos/rungs.h"

namespace bp::cpu::ladder {

void relpos_threads(const k::WindowAttention& p) {
  const i64 tokens = p.h * p.w;
  float* const terms = scratch<float>(0, tokens * (p.win_h + p.win_w));
  for (i64 u = 0; u < p.batch * p.heads; ++u) {
    parallel_for(tokens, kOnlineQueries, [&](i64 begin, i64 end) { relpos_terms(p, u, begin, end, terms); });
    parallel_for(tokens, kOnlineQueries,
                 [&](i64 begin, i64 end) { relpos_online_queries(p, u, begin, end, terms); });
  }
}

}  // namespace bp::cpu::ladder
