// A product made of register tiles (../tiles.h), which the rungs from the fourth on share.
//
// B is packed once into panels. A task is a block of C, kept in f32 in the second-level cache: for each 256
// of the depth, strips of A are packed into the first-level cache and run along the block's panels. Scratch
// slots: 3 (panels), 6 (block of C), 7 (strip).
#pragma once
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/ladders/cpu/matmul/epilogue.h"
#include "kernels/ladders/cpu/matmul/operands.h"
#include "kernels/ladders/cpu/tiles.h"

namespace bp::cpu::ladder {
namespace {

constexpr i64 kTaskRows = 96, kTaskColumns = kMaxColumns;

template <class Tile, class T>
class PackedProduct {
  using Element = typename Tile::Element;
  static constexpr i64 kTaskStrips = std::max<i64>(1, kTaskRows / Tile::kRows);
  static constexpr i64 kTaskPanels = kTaskColumns / Tile::kCols;

 public:
  explicit PackedProduct(const k::Matmul& args)
      : p_(args),
        panels_(Tile::panels(p_.n)),
        strips_((p_.m + Tile::kRows - 1) / Tile::kRows),
        panel_size_(Tile::padded(p_.k) * Tile::kCols),
        packed_(scratch<Element>(3, std::max<i64>(1, panels_ * panel_size_))) {}

  void run() const {
    const i64 across = (panels_ + kTaskPanels - 1) / kTaskPanels;
    const i64 down = (strips_ + kTaskStrips - 1) / kTaskStrips;
    for (i64 batch = 0; batch < p_.batch; ++batch) {
      const Operands<T> x(p_, batch);
      if (batch == 0 || p_.b_batch != 0) pack_b(x);
      parallel_for(down * across, 1, [&](i64 begin, i64 end) {
        Tile::begin();
        for (i64 t = begin; t < end; ++t) task(x, batch, t / across * kTaskStrips, t % across * kTaskPanels);
        Tile::end();
      });
    }
  }

 private:
  void pack_b(const Operands<T>& x) const {
    parallel_for(panels_, 1, [&](i64 begin, i64 end) {
      for (i64 j = begin; j < end; ++j)
        pack_panel<Tile>(
            p_.k, std::min<i64>(Tile::kCols, p_.n - j * Tile::kCols),
            [&](i64 r, i64 c) { return x.B(r, j * Tile::kCols + c); }, packed_ + j * panel_size_);
    });
  }

  // The block of C from strip0 and panel0 on.
  void task(const Operands<T>& x, i64 batch, i64 strip0, i64 panel0) const {
    float* const block = scratch<float>(6, kTaskStrips * Tile::kRows * kTaskColumns);
    Element* const strip = scratch<Element>(7, Tile::kRows * kStripStride);
    const i64 strip1 = std::min(strips_, strip0 + kTaskStrips);
    const i64 panel1 = std::min(panels_, panel0 + kTaskPanels);
    for (i64 q0 = 0; q0 == 0 || q0 < p_.k; q0 += kMaxDepth) {
      const i64 depth = std::min(kMaxDepth, p_.k - q0);
      for (i64 s = strip0; s < strip1; ++s) {
        const i64 row = s * Tile::kRows;
        pack_strip<Tile>(
            static_cast<int>(std::min<i64>(Tile::kRows, p_.m - row)), depth,
            [&](i64 i, i64 r) { return x.A(row + i, q0 + r); }, strip);
        for (i64 j = panel0; j < panel1; ++j)
          Tile::run(strip, packed_ + j * panel_size_ + q0 * Tile::kCols, Tile::padded(depth),
                    block + (s - strip0) * Tile::kRows * kTaskColumns + (j - panel0) * Tile::kCols,
                    kTaskColumns, q0 > 0);
      }
    }
    const i64 column = panel0 * Tile::kCols, columns = std::min(p_.n - column, kTaskColumns);
    for (i64 row = strip0 * Tile::kRows; row < std::min(p_.m, strip1 * Tile::kRows); ++row)
      finish_row(p_, batch, row, column, columns, block + (row - strip0 * Tile::kRows) * kTaskColumns);
  }

  const k::Matmul& p_;
  i64 panels_, strips_, panel_size_;
  Element* packed_;
};

template <class Tile>
void multiply_packed(const k::Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  if constexpr (std::is_same_v<typename Tile::Element, float>)
    if (p.dtype == DType::f32) return PackedProduct<Tile, float>(p).run();
  PackedProduct<Tile, bf16>(p).run();
}

}  // namespace
}  // namespace bp::cpu::ladder
