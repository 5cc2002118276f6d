// Attention over one unit (one head of one batch entry or window) with an online softmax, shared by
// attention.cpp and window_attention.cpp. Included inside the level's namespace, after product_tiles.h.
//
// Keys and values of a unit are packed once into a tile's panels: K transposed as [panel of kNR keys][words
// of d][kNR], V as [panel of kNR columns][words of keys][kNR]. Queries come in blocks of a few strips; per
// block of keys a strip's logits stay in L1 between the two products, so no matrix of queries x keys ever
// exists.
//
// Logits are kept in base 2, times log2 e: a power of 2 is cheaper than one of e, and the factor hides in the
// scale.

namespace {

constexpr float kLog2e = 1.44269504088896341f, kLn2 = 0.69314718055994531f;
constexpr i64 kKeyBlock = 256;
constexpr i64 kMaxHead = 256;  // largest head dimension
static_assert(kMaxHead <= kKC && kKeyBlock <= kKC && kKeyBlock % kNR == 0);

// The larger; x if it is NaN. g++ makes a comparison and a blend of max(), where one number is a constant.
BP_INLINE vf at_least(vf low, vf x) {
#if BP_ISA_LEVEL == 512
  return __builtin_ia32_maxps512_mask(low, x, low, -1, 4);
#elif BP_ISA_LEVEL == 2
  return __builtin_ia32_maxps256(low, x);
#else
  return x < low ? low : x;
#endif
}

// 2^x for x <= 0, and 2^-126 below: nothing beside the largest weight, which is 1. Relative error below 2e-7:
// Remez's polynomial on [-1/2, 1/2], and rounding.
BP_INLINE vf exp2_down(vf x) {
  x = at_least(splat(-126.0f), x);
  const vf shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const vf shifted = x + shifter;
  const vf r = x - (shifted - shifter);
  vf p = splat(0.00132764719794792f);
  p = p * r + 0.009675541334216064f;
  p = p * r + 0.05550713273542585f;
  p = p * r + 0.24022119723848476f;
  p = p * r + 0.6931469670647331f;
  p = p * r + 1.0000000716546822f;
  return reinterpret_cast<vf>(reinterpret_cast<vi>(p) + (reinterpret_cast<vi>(shifted) << 23));
}

// kLanes words of a row, all of them there.
template <int pair, class T>
BP_INLINE vi whole_words(const T* p) {
  if constexpr (pair == 1)
    return reinterpret_cast<vi>(load(p));
  else
    return *reinterpret_cast<const vi_any*>(p);
}

// out[i] = what combine(lane, lane) makes of the lanes of x[i], for i < rows: all rows of a square at once,
// since one row at a time is a chain of shuffles to wait for.
template <class Combine>
BP_INLINE void across_lanes(const vf* x, int rows, const Combine& combine, float* out) {
  for (int first = 0; first < rows; first += kLanes) {
    vi square[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      square[i] = reinterpret_cast<vi>(x[first + i < rows ? first + i : first]);
    transpose(square);
    for (int w = kLanes / 2; w > 0; w /= 2)
      for (int i = 0; i < w; ++i)
        square[i] = reinterpret_cast<vi>(
            combine(reinterpret_cast<vf>(square[i]), reinterpret_cast<vf>(square[i + w])));
    store_part(out + first, reinterpret_cast<vf>(square[0]), std::min(kLanes, rows - first));
  }
}
template <std::size_t... lane>
BP_INLINE vi lane_numbers(std::index_sequence<lane...>) {
  return vi{static_cast<std::int32_t>(lane)...};
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

// What is added to the logits of a strip, in base 2: row i at from + i * ld; null for nothing.
struct Added {
  const float* from = nullptr;
  i64 ld = 0;
};

// A strip's logits before the exponential: times scale, plus what is added. Lanes from n to the end of the
// last vector become -inf, so what is added need only be readable there. The largest of row i to tops[i].
template <class Tile, bool adds>
void raise(float* s, Added add, int rows, i64 n, float scale, float* tops) {
  vf all[Tile::kRows];
  const vf lowest = splat(-__builtin_inff());
  const auto beyond =
      lane_numbers(std::make_index_sequence<kLanes>()) >= static_cast<std::int32_t>(n % kLanes);
  for (int i = 0; i < rows; ++i, s += kAStride, add.from += add.ld) {
    vf top = lowest;
    i64 j = 0;
    const auto logits = [&] { return adds ? scale * load(s + j) + load(add.from + j) : scale * load(s + j); };
    for (; j + kLanes <= n; j += kLanes) {
      const vf x = logits();
      store(s + j, x);
      top = max(x, top);
    }
    if (j < n) {
      const vf x = beyond ? lowest : logits();
      store(s + j, x);
      top = max(x, top);
    }
    all[i] = top;
  }
  across_lanes(
      all, rows, [](vf a, vf b) { return max(a, b); }, tops);
}

// Weights 2^(logit - top) of a strip from its logits, in place, as words for the second product; the sum of
// row i to sums[i].
template <class Tile>
void weigh(float* s, int rows, i64 n, const float* tops, float* sums) {
  vf all[Tile::kRows];
  for (int i = 0; i < rows; ++i, s += kAStride) {
    const vf top = splat(tops[i]);
    vf sum{};
    if constexpr (Tile::kPair == 1) {
      for (i64 j = 0; j < n; j += kLanes) {
        const vf e = exp2_down(load(s + j) - top);
        store(s + j, e);
        sum += e;
      }
    } else {
      auto* const to = reinterpret_cast<std::uint16_t*>(s);
      i64 j = 0;
      for (; j < n; j += kLanes) {
        const vf e = exp2_down(load(s + j) - top);
        sum += e;
        // Half up: ties are rare, and NaN stays NaN.
        *reinterpret_cast<vh_any*>(to + j) =
            __builtin_convertvector((reinterpret_cast<vu>(e) + 0x8000u) >> 16, vh);
      }
      for (; j < words_of<Tile>(n) * 2; j += kLanes) *reinterpret_cast<vh_any*>(to + j) = vh{};
    }
    all[i] = sum;
  }
  across_lanes(
      all, rows, [](vf a, vf b) { return a + b; }, sums);
}

// Queries [begin, end), at most a block of them and packed in buffers.q, over all keys of the unit.
// add(strip, rows, key0, n) says what is added to the logits of queries begin + strip and on and keys key0 to
// key0 + n. finish(t, o, factor, lse) takes the d results of query t before their multiplication by factor,
// and the natural log of the softmax denominator.
template <class Tile, class Add, class Finish>
void attend(const Unit<Tile>& unit, i64 begin, i64 end, float scale, const AttendBuffers<Tile>& buffers,
            const Add& add, const Finish& finish) {
  const int rows = static_cast<int>(end - begin);
  const i64 d = unit.d, words_d = words_of<Tile>(d), words_keys = words_of<Tile>(unit.keys);
  const auto logits = [](const Added& added, int count, i64 n, float factor, float* s, float* top) {
    added.from ? raise<Tile, true>(s, added, count, n, factor * kLog2e, top)
               : raise<Tile, false>(s, added, count, n, factor * kLog2e, top);
  };
  float tops[AttendBuffers<Tile>::kQueries], sums[AttendBuffers<Tile>::kQueries];
  for (i64 key0 = 0; key0 < unit.keys; key0 += kKeyBlock) {
    const i64 n = std::min(kKeyBlock, unit.keys - key0);
    for (int strip = 0; strip < rows; strip += Tile::kRows) {
      const int count = std::min(Tile::kRows, rows - strip);
      const Added added = add(strip, count, key0, n);
      for (i64 j = 0; j < n; j += kNR)
        Tile::run(count, n - j <= kLanes, buffers.q + strip * kAStride, unit.k + (key0 + j) * words_d,
                  words_d, buffers.s + j, kAStride, false);
      float* const top = tops + strip;
      float* const sum = sums + strip;
      if (key0 == 0) {
        logits(added, count, n, scale, buffers.s, top);
        weigh<Tile>(buffers.s, count, n, top, sum);
      } else {
        float higher[Tile::kRows], more[Tile::kRows];
        logits(added, count, n, scale, buffers.s, higher);
        for (int i = 0; i < count; ++i) higher[i] = std::max(top[i], higher[i]);
        weigh<Tile>(buffers.s, count, n, higher, more);
        for (int i = 0; i < count; ++i) {
          const vf shrink = exp2_down(splat(top[i]) - higher[i]);
          sum[i] = sum[i] * shrink[0] + more[i];
          if (top[i] == higher[i]) continue;
          top[i] = higher[i];
          float* const o = buffers.o + (strip + i) * buffers.o_ld;
          for (i64 c = 0; c < d; c += kLanes) store(o + c, shrink * load(o + c));
        }
      }
      for (i64 c = 0; c < d; c += kNR)
        Tile::run(count, d - c <= kLanes, reinterpret_cast<const Word*>(buffers.s),
                  unit.v + c * words_keys + key0 / Tile::kPair * kNR, words_of<Tile>(n),
                  buffers.o + strip * buffers.o_ld + c, buffers.o_ld, key0 > 0);
    }
  }
  for (int i = 0; i < rows; ++i)
    finish(begin + i, buffers.o + i * buffers.o_ld, 1.0f / sums[i], tops[i] * kLn2 + __builtin_logf(sums[i]));
}

// n numbers times a factor.
template <class T>
BP_INLINE void store_row(T* to, const float* from, float factor, i64 n) {
  each_vector(n, [&](i64 i, i64 part) { store(to + i, factor * load(from + i), part); });
}

}  // namespace
