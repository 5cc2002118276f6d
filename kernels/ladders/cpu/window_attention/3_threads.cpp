// 3. Windows and heads on all cores.
//
// 25 windows x 12 heads (SAM-B) are 300 tasks that share nothing but tables. The gain is the number of cores.
#include "kernels/threads.h"

#include "kernels/ladders/cpu/window_attention/rungs.h"
#include "kernels/ladders/cpu/windows.h"

namespace bp::cpu::ladder {

void windows_threads(const k::WindowAttention& p) {
  parallel_for(Unit<float>::count(Windows<float>(p)), 1,
               [&](i64 begin, i64 end) { windows_units_by_index(p, begin, end); });
}

}  // namespace bp::cpu::ladder
