// A transformer's MLP with its norm and its residual, a few strips of rows at a time on each thread: the
// normalised rows and the hidden ones stay in the second-level cache. In f32 numbers are those of the layers,
// computed in the same order.
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"

#include "kernels/cpu/layer_norm_row.h"
#include "kernels/cpu/product_local.h"

namespace {

constexpr i64 kRoom = i64{512} << 10;  // bytes of normalised and hidden rows at once

// Rows that threads take in turn: as many at once as `most` allows and a thread's share has; towards the end
// fewer, so that nobody waits long for the last.
class Portions {
 public:
  Portions(i64 rows, i64 most, i64 strip) : rows_(rows) {
    const i64 share = blocks_of(rows, threads());
    large_ = small_ = std::max<i64>(1, std::min(share, most));
    many_ = rows / large_;
    if (share <= 4 * most) return;
    small_ = blocks_of(blocks_of(most, strip), 4) * strip;
    many_ = (rows - threads() * most) / most;
  }
  i64 count() const { return many_ + blocks_of(rows_ - many_ * large_, small_); }
  i64 largest() const { return large_; }
  i64 begin(i64 i) const {
    return std::min(rows_, std::min(i, many_) * large_ + std::max<i64>(0, i - many_) * small_);
  }

 private:
  i64 rows_, large_, small_, many_;
};

template <class Tile, class T>
void run(const k::Mlp& p, const float* bias2) {
  const LocalProduct<Tile, T> fc1(p.c, p.hidden, p.packed1), fc2(p.hidden, p.c, p.packed2);
  const i64 fit = kRoom / ((p.c + p.hidden) * static_cast<i64>(sizeof(T)));
  const Portions portions(p.rows, std::max<i64>(1, fit / Tile::kRows) * Tile::kRows, Tile::kRows);
  k::Matmul inner{};
  inner.alpha = 1, inner.act = k::Act::gelu, inner.ldc = p.hidden;
  parallel_for(portions.count(), 1, [&](i64 begin, i64 end) {
    T* const normed = scratch<T>(4, portions.largest() * p.c);
    T* const hidden = scratch<T>(5, portions.largest() * p.hidden);
    float* const sums = scratch<float>(6, std::max(fc1.sums(), fc2.sums()));
    Word* const strip = scratch<Word>(7, LocalProduct<Tile, T>::kStrip);
    Tile::begin();
    for (i64 i = begin; i < end; ++i) {
      const i64 row = portions.begin(i), rows = portions.begin(i + 1) - row;
      const float* const x = p.x + row * p.c;
      float* const y = p.y + row * p.c;
      for (i64 r = 0; r < rows; ++r)
        normalize_row(x + r * p.c, p.norm_w, p.norm_b, p.c, p.eps, normed + r * p.c);
      fc1(normed, rows, hidden, sums, strip, [&](const float* tile, i64 first, i64 n, i64 column, i64 width) {
        finish_rows<T>(inner, tile, kNR, n, width, static_cast<const T*>(p.bias1) + column, nullptr,
                       hidden + first * p.hidden + column);
      });
      k::Matmul outer{};
      outer.alpha = 1, outer.ldc = p.c;
      fc2(hidden, rows, hidden, sums, strip, [&](const float* tile, i64 first, i64 n, i64 column, i64 width) {
        const i64 at = first * p.c + column;
        finish_rows<float>(outer, tile, kNR, n, width, bias2 + column, x + at, y + at);
      });
    }
    Tile::end();
  });
}

template <class T>
void run(const k::Mlp& p) {
  float* const bias2 = scratch<float>(0, p.c);
  for (i64 i = 0; i < p.c; ++i) bias2[i] = to_f32(static_cast<const T*>(p.bias2)[i]);
  with_tile<T>([&](auto tile) { run<decltype(tile), T>(p, bias2); });
}

}  // namespace

void mlp(const k::Mlp& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
