// Gradients of attention. Units are (batch, head), each one task. Scratch slot: 5 (buffers of a unit).
#include <algorithm>
#include <type_traits>
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
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/table.h"

namespace {

template <class Tile, class T>
void run_tiles(const k::AttentionBackward& args) {
  const k::Attention& p = args.forward;
  const i64 channels = p.heads * p.d;
  parallel_for(p.batch * p.heads, 1, [&](i64 first, i64 last) {
    const BackwardUnit<Tile> unit(p.nq, p.nk, p.d,
                                  scratch<float>(5, BackwardUnit<Tile>::size(p.nq, p.nk, p.d)));
    Tile::begin();
    for (i64 u = first; u < last; ++u) {
      const i64 b = u / p.heads, offset = u % p.heads * p.d;
      const auto rows = [&](const void* base, i64 batch, i64 row) {
        const T* const from = static_cast<const T*>(base) + b * batch + offset;
        return [=](i64 t) { return from + t * row; };
      };
      const auto write = [&](void* base, i64 tokens, i64 t, const float* from, float factor) {
        store_row(static_cast<T*>(base) + (b * tokens + t) * channels + offset, from, factor, p.d);
      };
      attend_backward(
          unit,
          BackwardRows{rows(p.q, p.q_batch, p.q_row), rows(args.dout, p.nq * channels, channels),
                       rows(p.k, p.k_batch, p.k_row), rows(p.v, p.v_batch, p.v_row)},
          p.scale, p.lse + u * p.nq, [](i64, int, i64, i64, const auto& f) { f(AddedNothing()); },
          [&](i64 t, int n) {
            for (int i = 0; i < n; ++i) write(args.dq, p.nq, t + i, unit.dq + i * unit.o_ld, p.scale);
          });
      for (i64 t = 0; t < p.nk; ++t) {
        write(args.dk, p.nk, t, unit.dk + t * unit.o_ld, p.scale);
        write(args.dv, p.nk, t, unit.dv + t * unit.o_ld, 1.0f);
      }
    }
    Tile::end();
  });
}

template <class T>
void run(const k::AttentionBackward& p) {
  with_tile<T>([&](auto tile) { run_tiles<decltype(tile), T>(p); });
}

}  // namespace

void attention_backward(const k::AttentionBackward& p) {
  if (p.forward.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
