// The register tiles that the matmul ladder builds, one per rung from the fourth on; attention's rungs make
// both of their products with them.
//
// A tile is kRows x kCols numbers of C = A B, in f32. It reads
//   a strip of A: kRows rows, row i at i * kStripStride, so that every address is one register + a constant;
//   a panel of B: [depth / kPair][kCols][kPair], which is read from its first byte to its last. kPair is how
//     many neighbours in depth an instruction multiplies at once.
// The depth, at most kMaxDepth, is padded with zeros to a multiple of kStep; missing rows and columns are
// zeros too.
#pragma once
#include <type_traits>

#include "kernels/dtype.h"

namespace bp::cpu::ladder {

constexpr i64 kMaxDepth = 256;
constexpr i64 kStripStride = kMaxDepth + 32;  // rows 4096 bytes apart would share their cache sets

template <class T, int rows, int cols, int pair, int step>
struct TileShape {
  using Element = T;
  static constexpr int kRows = rows, kCols = cols, kPair = pair, kStep = step;
  static constexpr i64 padded(i64 depth) { return (depth + step - 1) / step * step; }
  static constexpr i64 panels(i64 n) { return (n + cols - 1) / cols; }
  // Around a thread's calls of run().
  static void begin() {}
  static void end() {}
};

// run(): c[i][j] (+)= sum over the depth of strip[i][.] panel[.][j], for all kRows x kCols of c, whose rows
// lie ldc apart. It adds to c where `add`, else overwrites it.
struct Avx2Tile : TileShape<float, 6, 16, 1, 1> {
  static bool usable();
  static void run(const float* strip, const float* panel, i64 depth, float* c, i64 ldc, bool add);
};
struct Avx512Tile : TileShape<float, 14, 32, 1, 1> {
  static bool usable();
  static void run(const float* strip, const float* panel, i64 depth, float* c, i64 ldc, bool add);
};
struct Bf16Tile : TileShape<bf16, 14, 32, 2, 2> {
  static bool usable();
  static void run(const bf16* strip, const bf16* panel, i64 depth, float* c, i64 ldc, bool add);
};
struct AmxTile : TileShape<bf16, 32, 32, 2, 32> {
  static bool usable();  // also where a test has switched on the stand-in (amx.h)
  static void begin();
  static void end();
  static void run(const bf16* strip, const bf16* panel, i64 depth, float* c, i64 ldc, bool add);
};

template <class To, class From>
inline To convert(From x) {
  if constexpr (std::is_same_v<To, From>)
    return x;
  else
    return from_f32<To>(to_f32(x));
}

// Fills a panel of which `width` columns exist; get(r, j) is element j of row r < depth of B.
template <class Tile, class Get>
void pack_panel(i64 depth, i64 width, const Get& get, typename Tile::Element* panel) {
  using Element = typename Tile::Element;
  constexpr i64 cols = Tile::kCols, pair = Tile::kPair;
  for (i64 r = 0; r < Tile::padded(depth); ++r) {
    Element* const to = panel + r / pair * cols * pair + r % pair;
    const i64 filled = r < depth ? width : 0;
    for (i64 j = 0; j < filled; ++j) to[j * pair] = convert<Element>(get(r, j));
    for (i64 j = filled; j < cols; ++j) to[j * pair] = Element{};
  }
}

// Fills a strip of which `rows` rows exist; get(i, r) is element r < depth of row i of A.
template <class Tile, class Get>
void pack_strip(int rows, i64 depth, const Get& get, typename Tile::Element* strip) {
  using Element = typename Tile::Element;
  for (int i = 0; i < Tile::kRows; ++i) {
    Element* const to = strip + i * kStripStride;
    const i64 filled = i < rows ? depth : 0;
    for (i64 r = 0; r < filled; ++r) to[r] = convert<Element>(get(i, r));
    for (i64 r = filled; r < Tile::padded(depth); ++r) to[r] = Element{};
  }
}

}  // namespace bp::cpu::ladder
