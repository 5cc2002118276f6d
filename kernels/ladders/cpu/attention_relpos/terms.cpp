#include "kernels/ladders/cpu/attention_relpos/rungs.h"
#include "kernels/ladders/cpu/windows.h"

namespace bp::cpu::ladder {
namespace {

template <class T>
void all_terms(const k::WindowAttention& p, i64 u, i64 begin, i64 end, float* terms) {
  const Windows<T> grid(p);
  const Unit unit(grid, u);
  for (i64 t = begin; t < end; ++t) relative_terms(p, unit.row(t, 0), t, terms + t * (p.win_h + p.win_w));
}

}  // namespace

void relpos_terms(const k::WindowAttention& p, i64 u, i64 begin, i64 end, float* terms) {
  p.dtype == DType::bf16 ? all_terms<bf16>(p, u, begin, end, terms)
                         : all_terms<float>(p, u, begin, end, terms);
}

}  // namespace bp::cpu::ladder
