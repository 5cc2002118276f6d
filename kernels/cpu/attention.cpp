// softmax(scale q k^T) v for queries and keys that are plain lists. Units are (batch, head).
// Scratch slots: 4 (panels of the unit), 5 (buffers of attend).
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/attend.h"
#include "kernels/cpu/table.h"

template <class T>
static void run(const k::Attention& p) {
  const auto* q = static_cast<const T*>(p.q);
  const auto* key = static_cast<const T*>(p.k);
  const auto* value = static_cast<const T*>(p.v);
  auto* out = static_cast<T*>(p.o);
  const i64 k_size = Unit::k_size(p.nk, p.d), v_size = Unit::v_size(p.nk, p.d);
  parallel_for(p.batch * p.heads, 1, [&](i64 first, i64 last) {
    for (i64 u = first; u < last; ++u) {
      const i64 b = u / p.heads, h = u % p.heads;
      float* panels = scratch<float>(4, k_size + v_size);
      const Unit unit{p.nk, p.d, panels, panels + k_size};
      const AttendBuffers buffers(scratch<float>(5, AttendBuffers::size(p.d)), p.d);
      pack_keys<T>(
          unit, 0, p.nk, [&](i64 t) { return key + b * p.k_batch + t * p.k_row + h * p.d; },
          [&](i64 t) { return value + b * p.v_batch + t * p.v_row + h * p.d; });
      for (i64 t = 0; t < p.nq; t += kQueryRows)
        attend<T>(
            unit, t, std::min<i64>(p.nq, t + kQueryRows), p.scale, buffers,
            [&](i64 i) { return q + b * p.q_batch + i * p.q_row + h * p.d; },
            [](i64, i64, i64, float*) -> const float* { return nullptr; },
            [&](i64 i, const float* o, float lse) {
              store_row(out + (b * p.nq + i) * p.heads * p.d + h * p.d, o, p.d);
              if (p.lse) p.lse[u * p.nq + i] = lse;
            });
    }
  });
}

void attention(const k::Attention& p) {
  if (p.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
