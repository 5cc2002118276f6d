// What positions add to the logits of window attention, for attend(). Included inside the level's namespace,
// after attend.h and windows.h.
//
// Both kinds are, for one query, read along rows of keys. TinyViT's table depends on the differences of rows
// and columns: for one qx, all rows from dy = 1 - win_h to win_h - 1 one after another are laid out once per
// call, and the query in row qy reads its keys from row win_h - 1 - qy on. Relative positions are rel_h[ky] +
// rel_w[kx], two small products per strip of queries, joined in registers.

namespace {

constexpr i64 round_up(i64 n, i64 step) {
  return (n + step - 1) / step * step;
}

// For attend_weights.h: by_row[i][j / width] + by_column[i][j % width], where width is a power of 2.
template <int kRows>
struct AddedInWide {
  i64 width;
  const float *by_row[kRows], *by_column[kRows];
  BP_INLINE auto row(int i, vf less) const {
    return [
      less, mask = width - 1, shift = __builtin_ctzll(static_cast<std::uint64_t>(width)), y = by_row[i],
      x = by_column[i]
    ](i64 j) __attribute__((always_inline)) {
      return load(x + (j & mask)) - less + y[j >> shift];
    };
  }
};

// The same where a side is no longer than a vector: key j is in row y[j] and column x[j].
template <int kRows>
struct AddedInNarrow {
  const vi *y, *x;
  const float *by_row[kRows], *by_column[kRows];
  BP_INLINE auto row(int i, vf less) const {
    return [ rows = load(by_row[i]) - less, columns = load(by_column[i]), y = y, x = x ](i64 j)
        __attribute__((always_inline)) {
      return __builtin_shuffle(rows, y[j / kLanes]) + __builtin_shuffle(columns, x[j / kLanes]);
    };
  }
};

// to[0..n) = by_row[ky] + by_column[kx] for keys (ky, kx) on of a window `width` wide; up to kLanes - 1 more
// are read and written: whole vectors in ascending order, each over what the one before wrote too far.
BP_INLINE void spread(i64 width, i64 ky, i64 kx, i64 n, const float* by_row, const float* by_column,
                      float* to) {
  for (i64 key = 0; key < n; ++ky, kx = 0) {
    const i64 count = std::min(width - kx, n - key);
    for (i64 j = 0; j < count; j += kLanes) store(to + key + j, load(by_column + kx + j) + by_row[ky]);
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
  // A strip of queries times the table, in base 2: out [Tile::kRows][ld].
  void multiply(int rows, const Word* queries, float* out) const {
    const i64 words = words_of<Tile>(d), n = ld(side);
    for (i64 j = 0; j < n; j += kNR)
      Tile::run(rows, 2 * side - 1 - j <= kLanes, queries, panels + j * words, words, out + j, n, false);
    for (i64 j = 0; j < rows * n; j += kLanes) store(out + j, kLog2e * load(out + j));
  }
};

// Prepared once per call, shared by all threads. Scratch slots: 1 (TinyViT's tables), 2 (SAM's), 5 (a head's
// table while it is laid out).
template <class Tile>
struct Positions {
  static constexpr int kRows = Tile::kRows;
  const k::WindowAttention& p;
  const bool relative = p.rel_h != nullptr;
  const i64 tokens = p.win_h * p.win_w;
  // Of SAM's tables.
  const bool wide = p.win_w % kLanes == 0 && kKeyBlock % p.win_w == 0;
  const bool narrow = std::max(p.win_h, p.win_w) <= kLanes && tokens <= kKeyBlock;
  RelativeAxis<Tile> down{}, across{};
  vi *y = nullptr, *x = nullptr;  // of keys, if narrow
  // TinyViT's table: of head h and column qx from table + h * head_ld + qx * column_ld on.
  const i64 column_ld = (2 * p.win_h - 1) * p.win_w, head_ld = p.win_w * column_ld + kLanes;
  float* table = nullptr;

  template <class T>
  Positions(const k::WindowAttention& args, const T*) : p(args) {
    if (relative) {
      const i64 rows = RelativeAxis<Tile>::size(p.win_h, p.d),
                columns = RelativeAxis<Tile>::size(p.win_w, p.d);
      const i64 places = narrow ? round_up(tokens, kLanes) : 0;
      Word* const memory = scratch<Word>(2, 2 * places + rows + columns);
      y = reinterpret_cast<vi*>(memory), x = reinterpret_cast<vi*>(memory + places);
      for (i64 t = 0; t < places; ++t)
        memory[t] = static_cast<Word>(t / p.win_w), memory[places + t] = static_cast<Word>(t % p.win_w);
      down = {p.win_h, p.d, memory + 2 * places};
      across = {p.win_w, p.d, memory + 2 * places + rows};
      down.pack(static_cast<const T*>(p.rel_h));
      across.pack(static_cast<const T*>(p.rel_w));
    }
    if (p.bias) lay_out(static_cast<const T*>(p.bias));
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
    for (int i = 0; i < count; i += kRows) {
      const int strip = std::min(kRows, count - i);
      down.multiply(strip, queries + i * kAStride, terms + i * down.ld(p.win_h));
      across.multiply(strip, queries + i * kAStride, columns + i * across.ld(p.win_w));
    }
  }

  // Queries first + strip to first + strip + count of a block that begins with `first`, see attend(); out has
  // room for them and a vector.
  template <class F>
  void with(i64 head, i64 first, int strip, int count, i64 key0, i64 n, const float* terms, float* out,
            const F& f) const {
    if (!relative) return with_table(head, first + strip, count, key0, f);
    if (wide) {
      AddedInWide<kRows> added{p.win_w, {}, {}};
      each_query(first, strip, count, terms, [&](int i, const float* by_row, const float* by_column) {
        added.by_row[i] = by_row + key0 / p.win_w, added.by_column[i] = by_column;
      });
      return f(added);
    }
    if (narrow) {
      AddedInNarrow<kRows> added{y, x, {}, {}};
      each_query(first, strip, count, terms, [&](int i, const float* by_row, const float* by_column) {
        added.by_row[i] = by_row, added.by_column[i] = by_column;
      });
      return f(added);
    }
    AddedRows<kRows> added{};
    each_query(first, strip, count, terms, [&](int i, const float* by_row, const float* by_column) {
      added.at[i] = out + i * kAStride;
      spread(p.win_w, key0 / p.win_w, key0 % p.win_w, n, by_row, by_column, out + i * kAStride);
    });
    f(added);
  }
  // The same for queries from t on, without relative positions.
  template <class F>
  void with_table(i64 head, i64 t, int count, i64 key0, const F& f) const {
    if (!table) return f(AddedNothing());
    AddedRows<kRows> added{};
    i64 qy = t / p.win_w, qx = t % p.win_w;
    for (int i = 0; i < count; ++i) {
      added.at[i] = table + head * head_ld + qx * column_ld + (p.win_h - 1 - qy) * p.win_w + key0;
      if (++qx == p.win_w) ++qy, qx = 0;
    }
    f(added);
  }

 private:
  // body(i, by_row, by_column) for query i of a strip: what rows and columns of keys add to its logits.
  template <class Body>
  void each_query(i64 first, int strip, int count, const float* terms, const Body& body) const {
    const i64 down_ld = down.ld(p.win_h), across_ld = across.ld(p.win_w);
    const float* const columns = terms + AttendBuffers<Tile>::kQueries * down_ld;
    i64 qy = (first + strip) / p.win_w, qx = (first + strip) % p.win_w;
    for (int i = 0; i < count; ++i) {
      body(i, terms + (strip + i) * down_ld + p.win_h - 1 - qy,
           columns + (strip + i) * across_ld + p.win_w - 1 - qx);
      if (++qx == p.win_w) ++qy, qx = 0;
    }
  }
  // Rows of each head in ascending order by whole vectors, each over what the one before wrote too far.
  template <class T>
  void lay_out(const T* from) {
    table = scratch<float>(1, p.heads * head_ld);
    const i64 width = 2 * p.win_w - 1, heads_per_task = round_up(4096, column_ld) / column_ld;
    parallel_for(p.heads, heads_per_task, [&](i64 begin, i64 end) {
      float* const mirrored = scratch<float>(5, p.win_h * width + kLanes);
      for (i64 head = begin; head < end; ++head) {
        for (i64 dy = 0; dy < p.win_h; ++dy)
          for (i64 i = 0; i < width; ++i)
            mirrored[dy * width + i] =
                kLog2e * to_f32(from[head * tokens + dy * p.win_w + std::abs(i - (p.win_w - 1))]);
        float* to = table + head * head_ld;
        for (i64 qx = 0; qx < p.win_w; ++qx)
          for (i64 dy = 1 - p.win_h; dy < p.win_h; ++dy, to += p.win_w)
            for (i64 kx = 0; kx < p.win_w; kx += kLanes)
              store(to + kx, load(mirrored + std::abs(dy) * width + p.win_w - 1 - qx + kx));
      }
    });
  }
};

}  // namespace
