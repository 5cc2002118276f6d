// How matmul.cpp and matmul_tn.cpp pack their operands for a register tile (product_tiles.h). Included inside
// the level's namespace, after gemm.h and transpose.h.
//
// Packed operands are made of 32-bit words: one f32, or with pair = 2 two neighbours in depth as bf16. A
// panel of B is [words of depth][kNR], a strip of A [rows][kAStride], both padded with zeros.

using Word = std::int32_t;

constexpr i64 blocks_of(i64 n, i64 size) {
  return (n + size - 1) / size;
}

BP_INLINE void store(Word* p, vi x) {
  *reinterpret_cast<vi_any*>(p) = x;
}

// kLanes words of a row that holds n more elements in depth; zeros beyond them.
template <int pair, class T>
BP_INLINE vi words_along(const T* p, i64 n) {
  if constexpr (pair == 1) return reinterpret_cast<vi>(load(p, std::min<i64>(n, kLanes)));
  if (n >= pair * kLanes) return *reinterpret_cast<const vi_any*>(p);
  T part[pair * kLanes] = {};
  for (i64 i = 0; i < n; ++i) part[i] = p[i];
  return *reinterpret_cast<const vi_any*>(part);
}

// Words of the first n <= kLanes columns of one row of depth, or of two; `odd` null counts as zeros.
template <int pair, class T>
BP_INLINE vi words_across(const T* even, const T* odd, i64 n) {
  const vi low = reinterpret_cast<vi>(load(even, n));
  if constexpr (pair == 1) return low;
  const vi high = odd ? reinterpret_cast<vi>(load(odd, n)) : vi{};
  return reinterpret_cast<vi>(reinterpret_cast<vu>(low) >> 16) | high;
}

// Transposes up to kLanes rows, `stride` elements apart and n elements of depth long, to words [.][ld].
template <int pair, class T>
BP_INLINE void pack_across(const T* from, i64 stride, i64 rows, i64 n, i64 words, Word* to, i64 ld) {
  for (i64 w = 0; w < words; w += kLanes, from += pair * kLanes) {
    vi square[kLanes];
    for (i64 i = 0; i < kLanes; ++i)
      square[i] = i < rows ? words_along<pair>(from + i * stride, n - w * pair) : vi{};
    transpose(square);
    for (i64 r = 0; r < std::min<i64>(kLanes, words - w); ++r) store(to + (w + r) * ld, square[r]);
  }
}

// Words of `depth` rows of n columns, of which `readable` are there to be read, to [words][ld]; columns up to
// a whole vector are written.
template <int pair, class T>
BP_INLINE void pack_along(const T* from, i64 stride, i64 n, i64 readable, i64 depth, i64 words, Word* to,
                          i64 ld) {
  for (i64 w = 0; w < words; ++w, to += ld, from += pair * stride) {
    const i64 rows = std::clamp<i64>(depth - w * pair, 0, pair);
    const T* odd = rows > 1 ? from + stride : nullptr;
    for (i64 i = 0; i < n; i += kLanes)
      store(to + i, rows == 0 ? vi{}
                              : words_across<pair>(from + i, odd ? odd + i : nullptr,
                                                   std::min<i64>(kLanes, readable - i)));
  }
}

// Depths [k0, k0 + kn) of panels [panel0, panel1) of op(B), one after another.
template <int pair, class T>
static void pack_panels(const k::Matmul& p, const T* b, i64 panel0, i64 panel1, i64 k0, i64 kn, i64 words,
                        Word* packed) {
  for (i64 j = panel0; j < panel1; ++j, packed += words * kNR) {
    const i64 column = j * kNR, width = std::min<i64>(kNR, p.n - column);
    if (!p.tb) {
      if (width < kNR) std::fill(packed, packed + words * kNR, 0);
      pack_along<pair>(b + k0 * p.ldb + column, p.ldb, width, width, kn, words, packed, kNR);
      continue;
    }
    for (i64 v = 0; v < kNR; v += kLanes)
      pack_across<pair>(b + (column + v) * p.ldb + k0, p.ldb, std::clamp<i64>(width - v, 0, kLanes), kn,
                        words, packed + v, kNR);
  }
}

// Rows [row, row + rows) and depths [k0, k0 + kn) of op(A).
template <int pair, class T>
static void pack_strip(const k::Matmul& p, const T* a, i64 row, i64 rows, i64 k0, i64 kn, i64 words,
                       Word* strip) {
  if (p.ta) {
    for (i64 i = 0; i < rows; ++i)
      for (i64 q = 0; q < words * pair; ++q) {
        const T x = q < kn ? a[(k0 + q) * p.lda + row + i] : T{};
        if constexpr (pair == 1)
          reinterpret_cast<float*>(strip)[i * kAStride + q] = to_f32(x);
        else
          reinterpret_cast<T*>(strip)[i * kAStride * pair + q] = x;
      }
    return;
  }
  for (i64 i = 0; i < rows; ++i) {
    const T* from = a + (row + i) * p.lda + k0;
    for (i64 w = 0; w < words; w += kLanes)
      store(strip + i * kAStride + w, words_along<pair>(from + w * pair, kn - w * pair));
  }
}

// Asks for part `part` of `parts` of `rows` rows of n elements, to be packed soon.
template <class T>
BP_INLINE void prefetch_rows(const T* from, i64 stride, i64 n, i64 rows, i64 part, i64 parts) {
  for (i64 r = rows * part / parts; r < rows * (part + 1) / parts; ++r) fetch_to_l2(from + r * stride, n);
}
