// 5. The list cut into pieces of 8192 parameters, for all cores.
//
// A thread per tensor would leave all but one waiting for the largest; the student has some 300, most of them
// tiny. Pieces are alike whatever the tensors are. Expected: the number of cores until the memory's bandwidth
// is full. Streaming stores would gain little here: w, m, v and the average are read anyway, so only the
// copy, if any, is fetched for nothing: 4 of 44 bytes.
#if defined(__x86_64__)
#include "kernels/threads.h"

#include "kernels/ladders/cpu/adamw/rungs.h"

namespace bp::cpu::ladder {
namespace {
#include "kernels/cpu/pieces.h"
}

void adamw_threads(const k::AdamW& p) {
  AdamWStep step;
  if (!adamw_step(p, step)) return;
  each_piece(p.items, p.count, scratch<i64>(0, p.count + 1),
             [&](const k::AdamW::Item& item, i64 begin, i64 end, i64) {
               adamw_update_avx512(p, step, item, begin, end);
             });
}

}  // namespace bp::cpu::ladder
#endif
