// 1. As frameworks do it: windows are cut out into a tensor of their own, attended to, and put back.
//
// SAM-B's grid of 64 x 64 tokens is 25 windows of 14 x 14, 4900 tokens with the padding. q, k and v copied
// out are 45 MB in f32, written and read again; results before they are put back 15 MB written and 13 read:
// 118 MB beside the 51 MB that q, k, v and results are. One thread, additions one after another.
#include "kernels/ladders/cpu/window_attention/plain.h"
#include "kernels/ladders/cpu/window_attention/rungs.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void attend(const k::WindowAttention& p) {
  const Windows<T> windows(p);
  const i64 units = Unit<T>::count(windows), tokens = windows.tokens, d = p.d;
  T* const gathered = scratch<T>(0, units * tokens * 3 * d);  // [units][tokens][3][d]
  T* const results = scratch<T>(1, units * tokens * d);
  for (i64 u = 0; u < units; ++u) {
    const Unit unit(windows, u);
    for (i64 t = 0; t < tokens; ++t)
      for (int part = 0; part < 3; ++part)
        std::copy_n(unit.row(t, part), d, gathered + ((u * tokens + t) * 3 + part) * d);
  }
  for (i64 u = 0; u < units; ++u)
    attend_window<T>(
        p, u % p.heads, [&](i64 t, int part) { return gathered + ((u * tokens + t) * 3 + part) * d; },
        [&](i64 t) { return results + (u * tokens + t) * d; },
        [&](i64 t, float lse) { Unit(windows, u).write_lse(t, lse); });
  for (i64 u = 0; u < units; ++u) {
    const Unit unit(windows, u);
    for (i64 t = 0; t < tokens; ++t)
      if (T* const to = unit.output(t)) std::copy_n(results + (u * tokens + t) * d, d, to);
  }
}

}  // namespace

void windows_gathered(const k::WindowAttention& p) {
  p.dtype == DType::bf16 ? attend<bf16>(p) : attend<float>(p);
}

}  // namespace bp::cpu::ladder
