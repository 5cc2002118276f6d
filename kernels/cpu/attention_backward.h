// Gradients of attention over one unit (one head of one batch entry or window), shared by
// attention_backward.cpp and window_attention_backward.cpp. Included inside the level's namespace, after
// attend.h.
//
// With logits L = scale Q K^T + what is added, P = exp(L - lse) and dP = dO V^T:
//   dV = P^T dO,  dL = P (dP - rowsum(dO O)),  dQ = scale dL K,  dK = scale dL^T Q,  d(added) = dL.
// rowsum(dO O) equals rowsum(P dP), so the forward's output is not needed.
//
// A strip of queries makes its rows of P and dL in the first-level cache, and dQ from them. P and dL of a
// block of queries are kept for the products over queries, which need to be deep. For bf16 tiles both are
// rounded to bf16; sums, rowsum(P dP) and d(added) are f32.

namespace {

template <class Tile>
struct BackwardUnit {
  static constexpr int kRows = Tile::kRows, kPair = Tile::kPair;
  static constexpr i64 kQueries = 256 / kRows * kRows;  // of a block
  static_assert(kQueries % (kPair * Tile::kStep) == 0);

  i64 nq, nk, d;
  i64 row_ld, block_ld, o_ld;
  Word *k_across, *v_across;             // panels for L and dP
  Word *k_along, *q_along, *dout_along;  // panels for dQ, dK, dV
  Word *q, *dout;                        // a strip of each
  float *p_rows, *dl_rows;               // [kRows][row_ld]: a strip's L, then P; dP, then dL
  Word* dl_strip;                        // [block of keys][kRows][kAStride]
  float* dq;                             // [kRows][o_ld]
  Word *p, *dl;                          // [words of a block of queries][block_ld]
  float *dk, *dv;                        // [whole strips of keys][o_ld]

  static i64 whole(i64 n, i64 step) { return blocks_of(n, step) * step; }
  static i64 block_words(i64 nq) { return words_of<Tile>(std::min(nq, kQueries)); }
  // Readable to whole strips and vectors, and an odd number of vectors: else rows would share sets of the
  // cache.
  static i64 padded(i64 nk) { return whole(whole(nk, kRows), kLanes) | kLanes; }
  static i64 size(i64 nq, i64 nk, i64 d) {
    return 2 * Unit<Tile>::k_size(nk, d) + Unit<Tile>::v_size(nk, d) + 2 * Unit<Tile>::v_size(nq, d) +
           (2 + blocks_of(nk, kKeyBlock)) * kRows * kAStride + 2 * kRows * whole(nk, kNR) + kLanes +
           (kRows + 2 * whole(nk, kRows)) * whole(d, kNR) + 2 * block_words(nq) * padded(nk);
  }
  BackwardUnit(i64 queries, i64 keys, i64 head, float* memory) : nq(queries), nk(keys), d(head) {
    row_ld = whole(nk, kNR), block_ld = padded(nk), o_ld = whole(d, kNR);
    const auto take = [&](auto*& to, i64 n) {
      to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(memory);
      memory += n;
    };
    take(k_across, Unit<Tile>::k_size(nk, d)), take(v_across, Unit<Tile>::k_size(nk, d));
    take(k_along, Unit<Tile>::v_size(nk, d));
    take(q_along, Unit<Tile>::v_size(nq, d)), take(dout_along, Unit<Tile>::v_size(nq, d));
    take(q, kRows * kAStride), take(dout, kRows * kAStride);
    take(dl_strip, blocks_of(nk, kKeyBlock) * kRows * kAStride);
    take(p_rows, kRows * row_ld), take(dl_rows, kRows * row_ld + kLanes);
    take(dq, kRows * o_ld);
    take(dk, whole(nk, kRows) * o_ld), take(dv, whole(nk, kRows) * o_ld);
    take(p, block_words(nq) * block_ld), take(dl, block_words(nq) * block_ld);
  }
};

// Logits of n keys from products of a strip, what is added, and lse to P, in place; lanes from n to the end
// of the last vector become 0. P dP is added to sums.
template <class Added>
void probabilities(float* p, const float* dp, i64 ld, int rows, i64 n, float scale, const Added& added,
                   const float* lse, vf* sums) {
  for (int i = 0; i < rows; ++i, p += ld, dp += ld) {
    const auto add = added.row(i, splat(lse[i] * kLog2e));
    const auto weight = [&](i64 j) __attribute__((always_inline)) {
      return exp2(scale * load(p + j) + add(j));
    };
    vf sum = sums[i];
    i64 j = 0;
    for (; j + kLanes <= n; j += kLanes) {
      const vf e = weight(j);
      store(p + j, e);
      sum += e * load(dp + j);
    }
    if (j < n) {
      const vf e = first_lanes(weight(j), n - j);
      store(p + j, e);
      sum += e * load(dp + j);
    }
    sums[i] = sum;
  }
}

// Nearest bf16 in the upper half, ties up; NaN stays NaN.
BP_INLINE vu rounded_up_half(vf x) {
  return reinterpret_cast<vu>(x) + 0x8000u;
}

// Words of one row of queries, or of two.
template <int pair>
BP_INLINE vi query_words(vf even, vf odd) {
  if constexpr (pair == 1) return reinterpret_cast<vi>(even);
  return reinterpret_cast<vi>((rounded_up_half(even) >> 16) | (rounded_up_half(odd) & 0xffff0000u));
}

// From P and dP of `rows` queries, the first being number `first` of its block: dL in the place of dP, and P
// and dL as operands of the products to come.
template <class Tile>
void logit_gradients(const BackwardUnit<Tile>& u, i64 first, int rows, const float* deltas) {
  constexpr int pair = Tile::kPair;
  for (int i = 0; i < rows; i += pair) {
    const bool both = i + 1 < rows;
    const float* const p = u.p_rows + i * u.row_ld;
    float* const dl = u.dl_rows + i * u.row_ld;
    Word* const p_to = u.p + (first + i) / pair * u.block_ld;
    Word* const dl_to = u.dl + (first + i) / pair * u.block_ld;
    const vf delta = splat(deltas[i]), odd_delta = splat(both ? deltas[i + 1] : 0.0f);
    for (i64 j = 0; j < u.nk; j += kLanes) {
      const vf even_p = load(p + j), even = even_p * (load(dl + j) - delta);
      store(dl + j, even);
      Word* const strip = u.dl_strip + (j / kKeyBlock * Tile::kRows + i) * kAStride;
      vf odd_p{}, odd{};
      if constexpr (pair == 1) {
        store(strip + j % kKeyBlock, reinterpret_cast<vi>(even));
      } else {
        const auto store_half = [&](Word* row, vf x) {
          *reinterpret_cast<vh_any*>(reinterpret_cast<std::uint16_t*>(row) + j % kKeyBlock) =
              __builtin_convertvector(rounded_up_half(x) >> 16, vh);
        };
        store_half(strip, even);
        if (both) {
          odd_p = load(p + u.row_ld + j), odd = odd_p * (load(dl + u.row_ld + j) - odd_delta);
          store(dl + u.row_ld + j, odd);
          store_half(strip + kAStride, odd);
        }
      }
      store(p_to + j, query_words<pair>(even_p, odd_p));
      store(dl_to + j, query_words<pair>(even, odd));
    }
  }
}

// What products read of a strip of dL beyond its keys.
template <class Tile>
void clear_beyond_keys(const BackwardUnit<Tile>& u) {
  if constexpr (Tile::kPair == 1) return;
  const i64 block = (u.nk - 1) / kKeyBlock, n = u.nk - block * kKeyBlock;
  for (int i = 0; i < Tile::kRows; ++i) {
    auto* const row = reinterpret_cast<std::uint16_t*>(u.dl_strip + (block * Tile::kRows + i) * kAStride);
    for (i64 j = blocks_of(n, kLanes) * kLanes; j < 2 * words_of<Tile>(n); j += kLanes)
      *reinterpret_cast<vh_any*>(row + j) = vh{};
  }
}

// Strip `first` to first + rows of the block that begins at query q0: P and dL, and dQ without its scale.
template <class Tile, class WithAdded>
void backward_strip(const BackwardUnit<Tile>& u, i64 q0, i64 first, int rows, float scale, const float* lse,
                    const WithAdded& with_added) {
  const i64 words_d = words_of<Tile>(u.d), words_keys = words_of<Tile>(u.nk);
  vf sums[Tile::kRows] = {};
  for (i64 key0 = 0; key0 < u.nk; key0 += kKeyBlock) {
    const i64 n = std::min(kKeyBlock, u.nk - key0);
    for (i64 j = key0; j < key0 + n; j += kNR) {
      const bool half = u.nk - j <= kLanes;
      Tile::run(rows, half, u.q, u.k_across + j * words_d, words_d, u.p_rows + j, u.row_ld, false);
      Tile::run(rows, half, u.dout, u.v_across + j * words_d, words_d, u.dl_rows + j, u.row_ld, false);
    }
    with_added(q0 + first, rows, key0, n, [&](const auto& added) {
      probabilities(u.p_rows + key0, u.dl_rows + key0, u.row_ld, rows, n, scale * kLog2e, added,
                    lse + q0 + first, sums);
    });
  }
  float deltas[Tile::kRows];
  sums_across(sums, rows, deltas);
  logit_gradients(u, first, rows, deltas);
  for (i64 c = 0; c < u.d; c += kNR)
    for (i64 key0 = 0; key0 < u.nk; key0 += kKeyBlock)
      Tile::run(rows, u.d - c <= kLanes, u.dl_strip + key0 / kKeyBlock * Tile::kRows * kAStride,
                u.k_along + c * words_keys + key0 / Tile::kPair * kNR,
                words_of<Tile>(std::min(kKeyBlock, u.nk - key0)), u.dq + c, u.o_ld, key0 > 0);
}

// Adds what `count` queries from q0 on give to dK, without its scale, and dV.
template <class Tile>
void backward_keys(const BackwardUnit<Tile>& u, i64 q0, i64 count) {
  const i64 words = words_of<Tile>(count), words_queries = words_of<Tile>(u.nq);
  for (i64 w = blocks_of(count, Tile::kPair); w < words; ++w) {
    std::fill(u.p + w * u.block_ld, u.p + (w + 1) * u.block_ld, 0);
    std::fill(u.dl + w * u.block_ld, u.dl + (w + 1) * u.block_ld, 0);
  }
  const auto product = [&](const Word* a, const Word* panels, float* to) {
    for (i64 key = 0; key < u.nk; key += Tile::kRows)
      for (i64 c = 0; c < u.d; c += kNR)
        Tile::run_columns(static_cast<int>(std::min<i64>(Tile::kRows, u.nk - key)), u.d - c <= kLanes,
                          a + key, u.block_ld, panels + c * words_queries + q0 / Tile::kPair * kNR, kNR,
                          words, to + key * u.o_ld + c, u.o_ld, q0 > 0);
  };
  product(u.p, u.dout_along, u.dv);
  product(u.dl, u.q_along, u.dk);
}

// Rows of a unit: q(t), dout(t) for query t, k(t), v(t) for key t point to d numbers. with_added(t, rows,
// key0, n, f) calls f with what is added to the logits of queries t to t + rows and keys key0 to key0 + n,
// see attend(). finish_strip(t, rows) is called when u.dl_rows and u.dq, times scale, are those of queries t
// to t + rows. At the end u.dv, and u.dk times scale, are those of all keys.
template <class Tile, class Rows, class WithAdded, class FinishStrip>
void attend_backward(const BackwardUnit<Tile>& u, const Rows& rows, float scale, const float* lse,
                     const WithAdded& with_added, const FinishStrip& finish_strip) {
  pack_transposed<Tile>(0, u.nk, rows.k, u.d, u.k_across);
  pack_transposed<Tile>(0, u.nk, rows.v, u.d, u.v_across);
  pack_straight<Tile>(0, u.nk, u.nk, rows.k, u.d, u.k_along);
  pack_straight<Tile>(0, u.nq, u.nq, rows.q, u.d, u.q_along);
  pack_straight<Tile>(0, u.nq, u.nq, rows.dout, u.d, u.dout_along);
  clear_beyond_keys(u);
  for (i64 q0 = 0; q0 == 0 || q0 < u.nq; q0 += u.kQueries) {
    const i64 count = std::min(u.kQueries, u.nq - q0);
    for (i64 first = 0; first < count; first += Tile::kRows) {
      const i64 t = q0 + first, n = std::min<i64>(Tile::kRows, count - first);
      pack_strip_rows<Tile>(t, t + n, rows.q, u.d, u.q);
      pack_strip_rows<Tile>(t, t + n, rows.dout, u.d, u.dout);
      backward_strip(u, q0, first, static_cast<int>(n), scale, lse, with_added);
      finish_strip(t, static_cast<int>(n));
    }
    backward_keys(u, q0, count);
  }
}

template <class Q, class Dout, class K, class V>
struct BackwardRows {
  Q q;
  Dout dout;
  K k;
  V v;
};

}  // namespace
