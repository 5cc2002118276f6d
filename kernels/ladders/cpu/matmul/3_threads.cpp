// 3. The blocks of rows on all cores.
//
// Blocks of C are independent: no thread waits for another, and each element is summed by one thread in the
// same order, so the result has the same bits on any number of them. The gain is the number of cores as long
// as there are many more blocks of 64 rows than cores (64 at SAM's 4096 tokens; one at m <= 64, and no gain).
#include <algorithm>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/matmul/rungs.h"

namespace bp::cpu::ladder {

void matmul_threads(const k::Matmul& p) {
  for (i64 batch = 0; batch < p.batch; ++batch)
    parallel_for(p.m, kBlockRows, [&](i64 begin, i64 end) { matmul_block_of_rows(p, batch, begin, end); });
}

}  // namespace bp::cpu::ladder
