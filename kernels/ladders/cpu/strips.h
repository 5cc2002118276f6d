// Attention by strips of queries, both products made of register tiles (tiles.h): what the rungs with vectors
// share. Included inside a level's namespace, after kernels/cpu/simd.h (vf is a vector of kLanes floats).
//
// A head's keys and values are packed into panels once (heads.h). A strip of Tile::kRows queries meets 256
// keys at a time: logits S = Q K^T, softmax online, O += P V; S and P are rows of the first-level cache. P is
// rounded to the tile's type.

constexpr i64 kKeys = ladder::kMaxDepth, kStride = ladder::kStripStride;

using ladder::Head;
using ladder::Positions;
using ladder::Unit;

// Memory of one thread.
template <class Tile>
struct Strip {
  using Element = typename Tile::Element;
  static constexpr int kRows = Tile::kRows;
  float *s, *bias, *o;  // logits [kRows][kStride]; of one query [kStride]; outputs [kRows][o_ld]
  Element *q, *p;       // [kRows][kStride]
  i64 o_ld;
  static i64 output_ld(i64 d) { return Tile::panels(d) * Tile::kCols; }
  static i64 bytes(i64 d) {
    return static_cast<i64>(sizeof(float)) * ((kRows + 1) * kStride + kRows * output_ld(d)) +
           2 * static_cast<i64>(sizeof(Element)) * kRows * kStride;
  }
  Strip(void* memory, i64 d)
      : s(static_cast<float*>(memory)),
        bias(s + kRows * kStride),
        o(bias + kStride),
        q(reinterpret_cast<Element*>(o + kRows * output_ld(d))),
        p(q + kRows * kStride),
        o_ld(output_ld(d)) {}
};

// One query's logits, s + bias (if any) after scaling, to weights exp(logit - max) in p, zero up to `padded`.
// Raises the running maximum, and returns the factor by which everything summed before must shrink.
template <class Element>
BP_INLINE float soften(float* s, const float* bias, float scale, i64 n, i64 padded, Element* p, float& top,
                       float& sum) {
  vf high = splat(-__builtin_inff());
  for (i64 j = 0; j < n; j += kLanes) {
    vf x = scale * load(s + j);
    if (bias) x += load(bias + j);
    store(s + j, x);
    if (j + kLanes > n)
      for (i64 i = n; i < j + kLanes; ++i) s[i] = -__builtin_inff();
    high = max(high, load(s + j));
  }
  const float highest = max_lanes(high), before = top;
  top = before > highest ? before : highest;
  vf total{};
  for (i64 j = 0; j < n; j += kLanes) {
    const vf weight = exp(load(s + j) - top);
    store(p + j, weight);
    total += weight;
  }
  for (i64 j = n; j < padded; ++j) p[j] = Element{};
  const float shrink = before == -__builtin_inff() ? 0.0f : __builtin_expf(before - top);
  sum = sum * shrink + sum_lanes(total);
  return shrink;
}

// The strip's queries, `rows` of them and already in strip.q, over all keys. position(i, key0, n, out) writes
// what positions add to logits key0 .. key0 + n of query i to out, with room for a vector beyond, and says
// whether they add anything. finish(i, o, 1 / sum, lse) takes the d results of query i before their division.
template <class Tile, class Position, class Finish>
static void attend(const Head<Tile>& head, int rows, float scale, const Strip<Tile>& strip,
                   const Position& position, const Finish& finish) {
  using Element = typename Tile::Element;
  float top[Tile::kRows], sum[Tile::kRows];
  for (int i = 0; i < rows; ++i) top[i] = -__builtin_inff(), sum[i] = 0;
  for (i64 i = rows * kStride; i < Tile::kRows * kStride; ++i) strip.p[i] = Element{};
  for (i64 key0 = 0; key0 < head.keys; key0 += kKeys) {
    const i64 n = head.keys - key0 < kKeys ? head.keys - key0 : kKeys;
    for (i64 j = 0; j < n; j += Tile::kCols)
      Tile::run(strip.q, head.k + (key0 + j) * Tile::padded(head.d), Tile::padded(head.d), strip.s + j,
                kStride, false);
    for (int i = 0; i < rows; ++i) {
      const float* const bias = position(i, key0, n, strip.bias) ? strip.bias : nullptr;
      const float shrink = soften(strip.s + i * kStride, bias, scale, n, Tile::padded(n),
                                  strip.p + i * kStride, top[i], sum[i]);
      if (key0 == 0 || shrink == 1.0f) continue;
      float* const o = strip.o + i * strip.o_ld;
      for (i64 e = 0; e < strip.o_ld; e += kLanes) store(o + e, shrink * load(o + e));
    }
    for (i64 e = 0; e < head.d; e += Tile::kCols)
      Tile::run(strip.p, head.v + e * Tile::padded(head.keys) + key0 * Tile::kCols, Tile::padded(n),
                strip.o + e, strip.o_ld, key0 > 0);
  }
  for (int i = 0; i < rows; ++i)
    finish(i, strip.o + i * strip.o_ld, 1.0f / sum[i], top[i] + __builtin_logf(sum[i]));
}

// d numbers times a factor.
template <class T>
BP_INLINE void store_scaled(T* to, const float* from, float factor, i64 d) {
  each_vector(d, [&](i64 i, i64 n) { store(to + i, factor * load(from + i, n), n); });
}

// Writes to out what positions add to n keys from key0 on, row by row of the window: add(ky) to all of a row
// plus from(ky)[kx]. Whole vectors in ascending order, each over what the one before wrote too far; `from` is
// readable so far.
template <class From, class Add>
BP_INLINE void spread(i64 width, i64 key0, i64 n, const From& from, const Add& add, float* out) {
  i64 ky = key0 / width, kx = key0 % width;
  for (i64 key = key0; key < key0 + n; ++ky, kx = 0) {
    const i64 left = key0 + n - key, count = width - kx < left ? width - kx : left;
    const float* const x = from(ky) + kx;
    const vf more = splat(add(ky));
    for (i64 j = 0; j < count; j += kLanes) store(out + key - key0 + j, load(x + j) + more);
    key += count;
  }
}

// Queries first .. first + rows of a unit, positions in the tile: the strip of queries times the tables of
// relative positions are two more small products, and their numbers stay in the first-level cache.
template <class Tile, class T>
static void attend_queries(const Unit<T>& unit, const Head<Tile>& head, const Positions<Tile>& positions,
                           i64 first, int rows) {
  const k::WindowAttention& p = unit.windows.p;
  const Strip<Tile> strip(scratch_bytes(4, static_cast<std::size_t>(Strip<Tile>::bytes(p.d))), p.d);
  float* const by_row = scratch<float>(5, Positions<Tile>::terms_size(p));
  const i64 row_ld = positions.rows.ld(p.win_h), column_ld = positions.columns.ld(p.win_w);
  float* const by_column = by_row + Tile::kRows * row_ld;
  ladder::pack_queries<Tile>(unit, first, rows, strip.q);
  if (positions.relative) {
    positions.rows.multiply(strip.q, by_row);
    positions.columns.multiply(strip.q, by_column);
  }
  const auto position = [&](int i, i64 key0, i64 n, float* out) {
    const i64 qy = (first + i) / p.win_w, qx = (first + i) % p.win_w;
    if (positions.relative) {
      const float* const down = by_row + i * row_ld + p.win_h - 1 - qy;
      const float* const across = by_column + i * column_ld + p.win_w - 1 - qx;
      spread(
          p.win_w, key0, n, [&](i64) { return across; }, [&](i64 ky) { return down[ky]; }, out);
    }
    if (positions.table) {
      const float* const table = positions.mirrored + unit.head * p.win_h * (2 * p.win_w - 1);
      const auto biases = [&](i64 ky) {
        return table + (qy > ky ? qy - ky : ky - qy) * (2 * p.win_w - 1) + p.win_w - 1 - qx;
      };
      spread(
          p.win_w, key0, n, biases, [](i64) { return 0.0f; }, out);
    }
    return positions.relative || positions.table;
  };
  attend(head, rows, p.scale, strip, position, [&](int i, const float* o, float inverse, float lse) {
    if (T* const to = unit.output(first + i)) store_scaled(to, o, inverse, p.d);
    unit.write_lse(first + i, lse);
  });
}
