// What positions add to the logits of window attention, for attend(). Included inside the level's namespace,
// after attend.h and windows.h.
//
// Both kinds of positions are, for one query and one row of keys, a vector over kx that is contiguous in
// memory: relative positions are rel_h[ky] + rel_w[kx], two small products per strip of queries, and
// TinyViT's table, mirrored to [dy][win_w - 1 + dx], is read at win_w - 1 - qx. Rows are written with whole
// vectors in ascending order, each overwriting what the one before wrote too far.

namespace {

constexpr i64 round_up(i64 n, i64 step) {
  return (n + step - 1) / step * step;
}

// to[0..n) = from(ky)[kx] * kLog2e + add(ky) for keys (ky, kx) on of a window `width` wide; up to kLanes - 1
// more are read and written.
template <class From, class Add>
BP_INLINE void spread(i64 width, i64 ky, i64 kx, i64 n, const From& from, const Add& add, float* to) {
  for (i64 key = 0; key < n; ++ky, kx = 0) {
    const i64 count = std::min(width - kx, n - key);
    const float* const row = from(ky) + kx;
    const vf more = splat(add(ky));
    for (i64 j = 0; j < count; j += kLanes) store(to + key + j, kLog2e * load(row + j) + more);
    key += count;
  }
}

// SAM's table of one axis, [2 side - 1, d], as panels, backwards: what a query at place `at` adds to keys 0
// to side - 1 lies in this order in its row of products, from side - 1 - at on.
template <class Tile>
struct RelativeAxis {
  i64 side, d;
  Word* panels;
  static i64 ld(i64 side) { return round_up(2 * side - 1, kNR); }
  static i64 size(i64 side, i64 d) { return ld(side) * words_of<Tile>(d); }

  template <class T>
  void pack(const T* table) const {
    const i64 rows = 2 * side - 1, words = words_of<Tile>(d);
    for (i64 i = 0; i < rows; i += kLanes)
      pack_across<Tile::kPair>(table + (rows - 1 - i) * d, -d, std::min<i64>(kLanes, rows - i), d, words,
                               panels + i / kNR * kNR * words + i % kNR, kNR);
  }
  // A strip of queries times the table: out [Tile::kRows][ld].
  void multiply(int rows, const Word* queries, float* out) const {
    const i64 words = words_of<Tile>(d);
    for (i64 j = 0; j < 2 * side - 1; j += kNR)
      Tile::run(rows, 2 * side - 1 - j <= kLanes, queries, panels + j * words, words, out + j, ld(side),
                false);
  }
};

// Prepared once per call, shared by all threads. Scratch slots: 1 (TinyViT's tables), 2 (SAM's).
template <class Tile>
struct Positions {
  const k::WindowAttention& p;
  bool relative, table;
  i64 tokens, row_ld;  // row_ld: of `rows`
  RelativeAxis<Tile> down{}, across{};
  float* mirrored = nullptr;  // [heads][win_h][2 win_w - 1], and a vector
  float* rows = nullptr;      // [heads][tokens][row_ld]: the table for all pairs, where they are few

  template <class T>
  Positions(const k::WindowAttention& args, const T*)
      : p(args),
        relative(p.rel_h != nullptr),
        table(p.bias != nullptr),
        tokens(p.win_h * p.win_w),
        row_ld(round_up(tokens, kLanes)) {
    if (relative) {
      const i64 size = RelativeAxis<Tile>::size(p.win_h, p.d);
      Word* const memory = scratch<Word>(2, size + RelativeAxis<Tile>::size(p.win_w, p.d));
      down = {p.win_h, p.d, memory};
      across = {p.win_w, p.d, memory + size};
      down.pack(static_cast<const T*>(p.rel_h));
      across.pack(static_cast<const T*>(p.rel_w));
    }
    if (table) mirror(static_cast<const T*>(p.bias));
  }

  // Numbers that products of a block of queries with SAM's tables take.
  static i64 terms_size(const k::WindowAttention& p) {
    return AttendBuffers<Tile>::kQueries *
               (RelativeAxis<Tile>::ld(p.win_h) + RelativeAxis<Tile>::ld(p.win_w)) +
           kLanes;
  }
  void multiply(int count, const Word* queries, float* terms) const {
    if (!relative) return;
    float* const columns = terms + AttendBuffers<Tile>::kQueries * down.ld(p.win_h);
    for (int i = 0; i < count; i += Tile::kRows) {
      const int strip = std::min(Tile::kRows, count - i);
      down.multiply(strip, queries + i * kAStride, terms + i * down.ld(p.win_h));
      across.multiply(strip, queries + i * kAStride, columns + i * across.ld(p.win_w));
    }
  }

  // Queries first + strip to first + strip + count of a block that begins with `first`, see attend(); out has
  // room for them and a vector.
  Added of(i64 head, i64 first, int strip, int count, i64 key0, i64 n, const float* terms, float* out) const {
    const i64 begin = first + strip;
    if (rows) return {rows + (head * tokens + begin) * row_ld + key0, row_ld};
    if (!relative && !table) return {};
    const i64 down_ld = down.ld(p.win_h), across_ld = across.ld(p.win_w);
    const float* const columns = terms + AttendBuffers<Tile>::kQueries * down_ld;
    const i64 ky = key0 / p.win_w, kx = key0 % p.win_w;
    i64 qy = begin / p.win_w, qx = begin % p.win_w;
    for (int i = 0; i < count; ++i) {
      float* const to = out + i * kAStride;
      if (table) {
        table_row(head, qy, qx, ky, kx, n, to);
      } else {
        const float* const by_row = terms + (strip + i) * down_ld + p.win_h - 1 - qy;
        const float* const by_column = columns + (strip + i) * across_ld + p.win_w - 1 - qx;
        spread(
            p.win_w, ky, kx, n, [&](i64) { return by_column; }, [&](i64 y) { return kLog2e * by_row[y]; },
            to);
      }
      if (++qx == p.win_w) ++qy, qx = 0;
    }
    return {out, kAStride};
  }

 private:
  void table_row(i64 head, i64 qy, i64 qx, i64 ky, i64 kx, i64 n, float* to) const {
    const i64 width = 2 * p.win_w - 1;
    spread(
        p.win_w, ky, kx, n,
        [&](i64 y) { return mirrored + (head * p.win_h + std::abs(qy - y)) * width + p.win_w - 1 - qx; },
        [](i64) { return 0.0f; }, to);
  }
  template <class T>
  void mirror(const T* from) {
    const i64 width = 2 * p.win_w - 1, mirrored_size = p.heads * p.win_h * width + kLanes;
    const bool few = tokens <= kKeyBlock;
    mirrored = scratch<float>(1, mirrored_size + (few ? p.heads * tokens * row_ld + kLanes : 0));
    for (i64 row = 0; row < p.heads * p.win_h; ++row)
      for (i64 i = 0; i < width; ++i)
        mirrored[row * width + i] = to_f32(from[row * p.win_w + std::abs(i - (p.win_w - 1))]);
    if (!few) return;
    float* const all = mirrored + mirrored_size;
    parallel_for(p.heads, 1, [&](i64 begin, i64 end) {
      float* const row = scratch<float>(5, row_ld + kLanes);
      for (i64 head = begin; head < end; ++head)
        for (i64 t = 0; t < tokens; ++t) {
          table_row(head, t / p.win_w, t % p.win_w, 0, 0, tokens, row);
          std::copy(row, row + row_ld, all + (head * tokens + t) * row_ld);
        }
    });
    rows = all;
  }
};

}  // namespace
