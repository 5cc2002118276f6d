// softmax(scale q k^T) v for queries and keys that are plain lists. Units are (batch, head).
// Scratch slots: 4 (panels of the unit), 5 (buffers of attend).
#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"
#include "kernels/cpu/attend_weights.h"
#include "kernels/cpu/attend.h"
#include "kernels/cpu/attend_few_keys.h"
#include "kernels/cpu/table.h"

namespace {

template <class Tile, class T>
void run_tiles(const k::Attention& p) {
  using Buffers = AttendBuffers<Tile>;
  const auto* q = static_cast<const T*>(p.q);
  const auto* key = static_cast<const T*>(p.k);
  const auto* value = static_cast<const T*>(p.v);
  auto* out = static_cast<T*>(p.o);
  parallel_for(p.batch * p.heads, 1, [&](i64 first, i64 last) {
    const Unit<Tile> unit(p.nk, p.d, scratch<Word>(4, Unit<Tile>::size(p.nk, p.d)));
    const Buffers buffers(scratch<float>(5, Buffers::size(p.d)), p.d);
    Tile::begin();
    for (i64 u = first; u < last; ++u) {
      const i64 b = u / p.heads, h = u % p.heads;
      unit.pack(
          0, p.nk, [&](i64 t) { return key + b * p.k_batch + t * p.k_row + h * p.d; },
          [&](i64 t) { return value + b * p.v_batch + t * p.v_row + h * p.d; });
      for (i64 t = 0; t < p.nq; t += Buffers::kQueries) {
        const i64 end = std::min<i64>(p.nq, t + Buffers::kQueries);
        buffers.pack_queries(t, end, p.d, [&](i64 i) { return q + b * p.q_batch + i * p.q_row + h * p.d; });
        attend(
            unit, t, end, p.scale, p.lse != nullptr, buffers,
            [](int, int, i64, i64, const auto& f) { f(AddedNothing()); },
            [&](i64 i, const float* o, float factor, float lse) {
              store_row(out + (b * p.nq + i) * p.heads * p.d + h * p.d, o, factor, p.d);
              if (p.lse) p.lse[u * p.nq + i] = lse;
            },
            [](int, int, int, int) {});
      }
    }
    Tile::end();
  });
}

template <class T>
void run(const k::Attention& p) {
  if (p.nk <= kFewKeys && p.nq >= kNR) return run_few_keys<T>(p);
  with_tile<T>([&](auto tile) { run_tiles<decltype(tile), T>(p); });
}

}  // namespace

void attention(const k::Attention& p) {
  if (p.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
