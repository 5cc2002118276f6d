// A head's operands packed for register tiles (tiles.h).
#pragma once
#include <algorithm>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/tiles.h"
#include "kernels/ladders/cpu/windows.h"

namespace bp::cpu::ladder {
namespace {

template <class Tile>
struct Head {
  using Element = typename Tile::Element;
  static constexpr i64 kCols = Tile::kCols;
  i64 keys, d;
  Element *k, *v;  // panels of K^T [d][keys] and of V [keys][d]
  static i64 k_size(i64 keys, i64 d) { return Tile::panels(keys) * kCols * Tile::padded(d); }
  static i64 v_size(i64 keys, i64 d) { return Tile::panels(d) * kCols * Tile::padded(keys); }
  static i64 size(i64 keys, i64 d) { return k_size(keys, d) + v_size(keys, d); }
  Head(i64 tokens, i64 width, Element* memory)
      : keys(tokens), d(width), k(memory), v(memory + k_size(tokens, width)) {}

  i64 panels() const { return Tile::panels(keys) + Tile::panels(d); }
  // Packs one panel: K's come first, then V's.
  template <class T>
  void pack(i64 panel, const Unit<T>& unit) const {
    if (panel < Tile::panels(keys)) {
      const i64 first = panel * kCols, count = std::min(kCols, keys - first);
      const T* rows[kCols];
      for (i64 t = 0; t < count; ++t) rows[t] = unit.row(first + t, 1);
      pack_panel<Tile>(
          d, count, [&](i64 e, i64 t) { return rows[t][e]; }, k + first * Tile::padded(d));
    } else {
      const i64 first = (panel - Tile::panels(keys)) * kCols;
      pack_panel<Tile>(
          keys, std::min(kCols, d - first), [&](i64 t, i64 e) { return unit.row(t, 2)[first + e]; },
          v + first * Tile::padded(keys));
    }
  }
};

// Queries first .. first + rows of the unit, as a strip.
template <class Tile, class T>
void pack_queries(const Unit<T>& unit, i64 first, int rows, typename Tile::Element* strip) {
  pack_strip<Tile>(
      rows, unit.windows.p.d, [&](i64 i, i64 e) { return unit.row(first + i, 0)[e]; }, strip);
}

// SAM's table of one axis as panels [d][2 side - 1], backwards, so that what a query at place `at` adds to
// keys 0 to side - 1 lies in this order in its row of products, from side - 1 - at on.
template <class Tile>
struct RelativeAxis {
  using Element = typename Tile::Element;
  i64 side, d;
  Element* panels;
  static i64 ld(i64 side) { return Tile::panels(2 * side - 1) * Tile::kCols; }
  static i64 size(i64 side, i64 d) { return ld(side) * Tile::padded(d); }

  template <class T>
  void pack(const T* table) const {
    const i64 rows = 2 * side - 1;
    for (i64 first = 0; first < rows; first += Tile::kCols)
      pack_panel<Tile>(
          d, std::min<i64>(Tile::kCols, rows - first),
          [&](i64 e, i64 i) { return table[(rows - 1 - first - i) * d + e]; },
          panels + first * Tile::padded(d));
  }
  // A strip of queries times the whole table: out [kRows][ld].
  void multiply(const Element* queries, float* out) const {
    for (i64 j = 0; j < ld(side); j += Tile::kCols)
      Tile::run(queries, panels + j * Tile::padded(d), Tile::padded(d), out + j, ld(side), false);
  }
};

// What positions add to the logits of all heads, prepared once: SAM's axes as panels, or TinyViT's tables as
// f32, mirrored to [heads][win_h][2 win_w - 1], so that a query's biases of a row of keys are neighbours.
template <class Tile>
struct Positions {
  bool relative, table;
  RelativeAxis<Tile> rows{}, columns{};
  float* mirrored = nullptr;

  // Takes scratch slots 2 and 3.
  template <class T>
  static Positions prepare(const k::WindowAttention& p) {
    Positions all{p.rel_h != nullptr, p.bias != nullptr};
    if (all.relative) {
      using Element = typename Tile::Element;
      const i64 size = RelativeAxis<Tile>::size(p.win_h, p.d);
      auto* const memory = scratch<Element>(2, size + RelativeAxis<Tile>::size(p.win_w, p.d));
      all.rows = {p.win_h, p.d, memory};
      all.columns = {p.win_w, p.d, memory + size};
      all.rows.pack(static_cast<const T*>(p.rel_h));
      all.columns.pack(static_cast<const T*>(p.rel_w));
    }
    if (all.table) {
      const i64 width = 2 * p.win_w - 1, count = p.heads * p.win_h;
      all.mirrored = scratch<float>(3, count * width + kSlack);
      for (i64 row = 0; row < count; ++row)
        for (i64 i = 0; i < width; ++i)
          all.mirrored[row * width + i] =
              to_f32(static_cast<const T*>(p.bias)[row * p.win_w + std::abs(i - (p.win_w - 1))]);
    }
    return all;
  }
  // Of the terms of a strip of queries.
  static i64 terms_size(const k::WindowAttention& p) {
    return Tile::kRows * (RelativeAxis<Tile>::ld(p.win_h) + RelativeAxis<Tile>::ld(p.win_w)) + kSlack;
  }
  static constexpr i64 kSlack = 16;  // a vector may be read from any place
};

}  // namespace
}  // namespace bp::cpu::ladder
