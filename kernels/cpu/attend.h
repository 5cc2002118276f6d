// Attention over one unit (one head of one batch entry or window) with an online softmax, shared by
// attention.cpp and window_attention.cpp. Included inside the level's namespace, after product_tiles.h.
//
// Keys and values of a unit are packed once into a tile's panels: K transposed as [panel of kNR keys][words
// of d][kNR], V as [panel of kNR columns][words of keys][kNR]. Queries come in blocks of a few strips; per
// block of keys a strip's logits stay in L1 between the two products, so no matrix of queries x keys ever
// exists.
//
// Weights are 2^(logit - ref), where a query's ref need not be its largest logit: f32 has room for sums from
// 2^-60 to 2^60, and a ref that is known before the logits are lets one pass make weights of them. It is the
// product with key 0, rounded. Where a sum leaves that room, products and weights of the block are made again
// with the block's largest logit, rounded, for ref. Integers, since then what was summed before is rescaled
// by a power of 2, which is exact.

namespace {

constexpr i64 kKeyBlock = 256;
constexpr i64 kMaxHead = 256;  // largest head dimension
constexpr float kLargestSum = 0x1p60f, kLeastSum = 0x1p-60f;
static_assert(kMaxHead <= kKC && kKeyBlock <= kKC && kKeyBlock % kNR == 0);

// kLanes words of a row, all of them there.
template <int pair, class T>
BP_INLINE vi whole_words(const T* p) {
  if constexpr (pair == 1)
    return reinterpret_cast<vi>(load(p));
  else
    return *reinterpret_cast<const vi_any*>(p);
}

// kLanes rows of d elements, transposed: words [words][kNR].
template <int pair, class T>
BP_INLINE void pack_columns(const T* const (&rows)[kLanes], i64 d, i64 words, Word* to) {
  for (i64 w = 0; w < words; w += kLanes) {
    const i64 left = d - w * pair;
    vi square[kLanes];
    if (left >= pair * kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) square[i] = whole_words<pair>(rows[i] + w * pair);
    } else {
      for (int i = 0; i < kLanes; ++i)
        square[i] = left > 0 ? words_along<pair>(rows[i] + w * pair, left) : vi{};
    }
    transpose(square);
    if (words - w >= kLanes) {
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) store(to + (w + r) * kNR, square[r]);
    } else {
      for (i64 r = 0; r < words - w; ++r) store(to + (w + r) * kNR, square[r]);
    }
  }
}

// Packs rows [begin, end) of a matrix [n,d], whose row t is at row(t), as panels of its transpose: [panel of
// kNR rows][words of d][kNR]. begin is a multiple of kNR, end too or n.
template <class Tile, class Row>
void pack_transposed(i64 begin, i64 end, const Row& row, i64 d, Word* to) {
  const i64 words = words_of<Tile>(d);
  for (i64 t = begin; t < end; t += kLanes) {
    std::remove_cvref_t<decltype(row(t))> rows[kLanes];
    for (i64 i = 0; i < kLanes; ++i) rows[i] = row(std::min(t + i, end - 1));
    pack_columns<Tile::kPair>(rows, d, words, to + t / kNR * kNR * words + t % kNR);
  }
}

// The same as panels of itself: [panel of kNR columns][words of n][kNR].
template <class Tile, class Row>
void pack_straight(i64 begin, i64 end, i64 n, const Row& row, i64 d, Word* panels) {
  constexpr int pair = Tile::kPair;
  const i64 words = words_of<Tile>(n), last = end == n ? words : end / pair;
  for (i64 w = begin / pair; w < last; ++w) {
    const i64 t = w * pair;
    const auto* const even = t < end ? row(t) : nullptr;
    const auto* const odd = pair == 2 && t + 1 < end ? row(t + 1) : nullptr;
    Word* to = panels + w * kNR;
    for (i64 c = 0; c < d; c += kNR, to += words * kNR)
#pragma GCC unroll 2
      for (i64 i = 0; i < kNR; i += kLanes) {
        const i64 width = std::min<i64>(kLanes, d - c - i);
        if (width <= 0) break;
        store(to + i, even ? words_across<pair>(even + c + i, odd ? odd + c + i : nullptr, width) : vi{});
      }
  }
}

// The same as a strip: [end - begin][kAStride].
template <class Tile, class Row>
void pack_strip_rows(i64 begin, i64 end, const Row& row, i64 d, Word* strip) {
  constexpr int pair = Tile::kPair;
  for (i64 t = begin; t < end; ++t, strip += kAStride) {
    const auto* const from = row(t);
    i64 w = 0;
    for (; (w + kLanes) * pair <= d; w += kLanes) store(strip + w, whole_words<pair>(from + w * pair));
    for (; w < words_of<Tile>(d); w += kLanes)
      store(strip + w, w * pair < d ? words_along<pair>(from + w * pair, d - w * pair) : vi{});
  }
}

// The packed keys and values of a unit.
template <class Tile>
struct Unit {
  i64 keys, d;
  Word *k, *v;
  static i64 k_size(i64 keys, i64 d) { return blocks_of(keys, kNR) * kNR * words_of<Tile>(d); }
  static i64 v_size(i64 keys, i64 d) { return blocks_of(d, kNR) * kNR * words_of<Tile>(keys); }
  static i64 size(i64 keys, i64 d) { return k_size(keys, d) + v_size(keys, d); }
  Unit(i64 keys_, i64 d_, Word* memory) : keys(keys_), d(d_), k(memory), v(memory + k_size(keys_, d_)) {}

  // Packs keys [begin, end), begin a multiple of kNR, end too or the last; key(t) and value(t) point to the d
  // numbers of token t.
  template <class Key, class Value>
  void pack(i64 begin, i64 end, const Key& key, const Value& value) const {
    pack_transposed<Tile>(begin, end, key, d, k);
    pack_straight<Tile>(begin, end, keys, value, d, v);
  }
};

// Buffers of one thread for attend().
template <class Tile>
struct AttendBuffers {
  static constexpr i64 kQueries = 64 / Tile::kRows * Tile::kRows;  // of a block
  Word* q;                                                         // [kQueries][kAStride]
  float* s;  // [Tile::kRows][kAStride]: logits of a strip, then weights
  float* o;  // [kQueries][o_ld]: outputs, not yet divided
  i64 o_ld;
  static i64 output_ld(i64 d) { return blocks_of(d, kNR) * kNR; }
  static i64 size(i64 d) { return (kQueries + Tile::kRows) * kAStride + kQueries * output_ld(d); }
  AttendBuffers(float* memory, i64 d)
      : q(reinterpret_cast<Word*>(memory)),
        s(memory + kQueries * kAStride),
        o(s + Tile::kRows * kAStride),
        o_ld(output_ld(d)) {}

  template <class Query>
  void pack_queries(i64 begin, i64 end, i64 d, const Query& query) const {
    pack_strip_rows<Tile>(begin, end, query, d, q);
  }
};

// Queries [begin, end), at most a block of them and packed in buffers.q, over all keys of the unit.
// with_added(strip, rows, key0, n, f) calls f with what is added to the logits of queries begin + strip and
// on and keys key0 to key0 + n (attend_weights.h). finish(t, o, factor, lse) takes the d results of query t
// before their multiplication by factor, and, if with_lse, the natural log of the softmax denominator.
// meanwhile(strip, rows, part, parts) is called for all `parts` parts of each strip, spread over the
// products, to ask for memory ahead of its use.
template <class Tile, class WithAdded, class Finish, class Meanwhile>
void attend(const Unit<Tile>& unit, i64 begin, i64 end, float scale, bool with_lse,
            const AttendBuffers<Tile>& buffers, const WithAdded& with_added, const Finish& finish,
            const Meanwhile& meanwhile) {
  const int rows = static_cast<int>(end - begin);
  const i64 d = unit.d, words_d = words_of<Tile>(d), words_keys = words_of<Tile>(unit.keys);
  const float scale2 = scale * kLog2e;
  const bool exact = with_lse && Tile::kPair == 2;
  float *const s = buffers.s, refs[AttendBuffers<Tile>::kQueries], sums[AttendBuffers<Tile>::kQueries],
               exact_sums[AttendBuffers<Tile>::kQueries];
  for (i64 key0 = 0; key0 < unit.keys; key0 += kKeyBlock) {
    const i64 n = std::min(kKeyBlock, unit.keys - key0);
    for (int strip = 0; strip < rows; strip += Tile::kRows) {
      const int count = std::min(Tile::kRows, rows - strip);
      float *const ref = refs + strip, *const sum = sums + strip, *const exact_sum = exact_sums + strip;
      WeightSums<Tile> more;
      float* const o = buffers.o + strip * buffers.o_ld;
      const auto multiply = [&] {
        for (i64 j = 0; j < n; j += kNR) {
          if (key0 == 0)
            meanwhile(strip, count, static_cast<int>(j / kNR), static_cast<int>(blocks_of(n, kNR)));
          Tile::run(count, n - j <= kLanes, buffers.q + strip * kAStride, unit.k + (key0 + j) * words_d,
                    words_d, s + j, kAStride, false);
        }
      };
      multiply();
      if (key0 == 0)
        for (int i = 0; i < count; ++i) ref[i] = nearest(scale2 * s[i * kAStride]), sum[i] = 0;
      with_added(strip, count, key0, n, [&](const auto& added) {
        const auto make_weights = [&] {
          if (exact)
            weigh<Tile, Tile::kPair == 2>(s, added, count, n, scale2, ref, more);
          else
            weigh<Tile, false>(s, added, count, n, scale2, ref, more);
        };
        make_weights();
        // After the first block sums can only grow. False for NaN.
        const auto good = [&](int i) {
          return more.used[i] <= kLargestSum && (key0 > 0 || more.used[i] >= kLeastSum);
        };
        bool all_good = true;
        for (int i = 0; i < count; ++i) all_good &= good(i);
        if (all_good) return;
        multiply();
        for (int i = 0; i < count; ++i) {
          if (good(i)) continue;
          const float top = nearest(largest(s + i * kAStride, added, i, n, scale2));
          if (key0 > 0) {
            const vf shrink = exp2(splat(ref[i] - top));
            sum[i] *= shrink[0];
            if (exact) exact_sum[i] *= shrink[0];
            for (i64 c = 0; c < d; c += kLanes)
              store(o + i * buffers.o_ld + c, shrink * load(o + i * buffers.o_ld + c));
          }
          ref[i] = top;
        }
        make_weights();
      });
      for (int i = 0; i < count; ++i) sum[i] += more.used[i];
      if (exact)
        for (int i = 0; i < count; ++i) exact_sum[i] = (key0 == 0 ? 0 : exact_sum[i]) + more.exact[i];
      for (i64 c = 0; c < d; c += kNR)
        Tile::run(count, d - c <= kLanes, reinterpret_cast<const Word*>(s),
                  unit.v + c * words_keys + key0 / Tile::kPair * kNR, words_of<Tile>(n), o + c, buffers.o_ld,
                  key0 > 0);
    }
  }
  for (int i = 0; i < rows; ++i) {
    const float lse = with_lse ? refs[i] * kLn2 + __builtin_logf((exact ? exact_sums : sums)[i]) : 0.0f;
    finish(begin + i, buffers.o + i * buffers.o_ld, 1.0f / sums[i], lse);
  }
}

// n numbers times a factor.
template <class T>
BP_INLINE void store_row(T* to, const float* from, float factor, i64 n) {
  each_vector(n, [&](i64 i, i64 part) { store(to + i, factor * load(from + i), part); });
}

}  // namespace
