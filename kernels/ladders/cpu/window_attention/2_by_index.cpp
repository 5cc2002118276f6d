// 2. Windows are addresses: a token of a window is read and written where it lies in the grid.
//
// No copy remains (118 MB less at SAM-B's grid), and queries of the padding, a sixth of all, are not
// finished. Next to arithmetic that does one addition every four cycles the copies are little: expected 1.05
// times. It is the memory that this rung saves, and what lets the later ones be limited by arithmetic alone.
#include "kernels/ladders/cpu/window_attention/plain.h"
#include "kernels/ladders/cpu/window_attention/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void attend(const k::WindowAttention& p, i64 begin, i64 end) {
  const Windows<T> windows(p);
  for (i64 u = begin; u < end; ++u) {
    const Unit unit(windows, u);
    attend_window<T>(
        p, unit.head, [&](i64 t, int part) { return unit.row(t, part); },
        [&](i64 t) { return unit.output(t); }, [&](i64 t, float lse) { unit.write_lse(t, lse); });
  }
}

}  // namespace

void windows_units_by_index(const k::WindowAttention& p, i64 begin, i64 end) {
  p.dtype == DType::bf16 ? attend<bf16>(p, begin, end) : attend<float>(p, begin, end);
}

void windows_by_index(const k::WindowAttention& p) {
  windows_units_by_index(p, 0, Unit<float>::count(Windows<float>(p)));
}

}  // namespace bp::cpu::ladder
