// Attention of many queries to few keys, as SAM's image has to its prompt's tokens. Included inside the
// level's namespace, after attend.h.
//
// With 7 keys a vector over keys would be half empty, so lanes are queries: S^T = K Q^T, and the softmax
// needs no sums across lanes. Everything of a group of kNR queries stays in L1. Both products are f32, also
// of bf16: transposing the queries costs as much as they do.

namespace {

constexpr i64 kFewKeys = 16;
constexpr i64 kQueriesPerTask = 128;

// Keys and values of some heads, side by side, and what one group of queries needs.
struct FewKeysBuffers {
  i64 heads, ld;  // at most; of a head's values and outputs
  float *k, *v, *q, *s,
      *o;  // [kFewKeys][kAStride], [kFewKeys][heads * ld], [d][kNR], [kFewKeys][kNR], [kNR][ld]
  static i64 heads_of(i64 d) { return kKC / d; }
  static i64 ld_of(i64 d) { return blocks_of(d, kNR) * kNR; }
  static i64 size(i64 d) {
    return kFewKeys * (kAStride + heads_of(d) * ld_of(d) + kNR) + d * kNR + kNR * ld_of(d);
  }
  FewKeysBuffers(float* memory, i64 d)
      : heads(heads_of(d)),
        ld(ld_of(d)),
        k(memory),
        v(k + kFewKeys * kAStride),
        q(v + kFewKeys * heads * ld),
        s(q + d * kNR),
        o(s + kFewKeys * kNR) {}
};

// Logits s [keys][kNR] of `columns` queries in base 2, in place, to weights that sum to 1. The natural log of
// the denominators to lse.
BP_INLINE void soften_columns(float* s, i64 keys, i64 columns, float scale, float* lse) {
  for (i64 j = 0; j < columns; j += kLanes) {
    vf top = scale * load(s + j), sum{};
    for (i64 i = 1; i < keys; ++i) top = max(scale * load(s + i * kNR + j), top);
    for (i64 i = 0; i < keys; ++i) {
      const vf e = exp2(scale * load(s + i * kNR + j) - top);
      store(s + i * kNR + j, e);
      sum += e;
    }
    const vf factor = 1.0f / sum;
    for (i64 i = 0; i < keys; ++i) store(s + i * kNR + j, factor * load(s + i * kNR + j));
    for (int lane = 0; lane < kLanes && lse; ++lane)
      lse[j + lane] = top[lane] * kLn2 + __builtin_logf(sum[lane]);
  }
}

// Packs the keys and values of heads [first, last) of a batch entry.
template <class T>
void pack_few_keys(const k::Attention& p, i64 batch, i64 first, i64 last, const FewKeysBuffers& m) {
  for (i64 h = first; h < last; ++h) {
    const T* const key = static_cast<const T*>(p.k) + batch * p.k_batch + h * p.d;
    const T* const value = static_cast<const T*>(p.v) + batch * p.v_batch + h * p.d;
    for (i64 t = 0; t < p.nk; ++t)
      each_vector(p.d, [&](i64 c, i64 n) {
        store(m.k + t * kAStride + (h - first) * p.d + c, load(key + t * p.k_row + c, n), n);
        store(m.v + (t * m.heads + h - first) * m.ld + c, load(value + t * p.v_row + c, n));
      });
  }
}

// `count` <= kNR queries from t on of head h; k and v are those of the head, rows `v_ld` apart.
template <class T>
void attend_few_keys(const k::Attention& p, i64 batch, i64 h, i64 t, i64 count, const float* k,
                     const float* v, i64 v_ld, const FewKeysBuffers& m) {
  const T* const q = static_cast<const T*>(p.q) + batch * p.q_batch + t * p.q_row + h * p.d;
  for (i64 i = 0; i < count; i += kLanes) {
    const T* rows[kLanes];
    for (i64 j = 0; j < kLanes; ++j) rows[j] = q + std::min(i + j, count - 1) * p.q_row;
    pack_columns<1>(rows, p.d, p.d, reinterpret_cast<Word*>(m.q + i));
  }
  const bool half = count <= kLanes;
  for (i64 i = 0; i < p.nk; i += kMR)
    tile(static_cast<int>(std::min<i64>(kMR, p.nk - i)), half, k + i * kAStride, m.q, p.d, m.s + i * kNR, kNR,
         false);
  float lse[kNR];
  soften_columns(m.s, p.nk, half ? kLanes : kNR, p.scale * kLog2e, p.lse ? lse : nullptr);
  for (i64 i = 0; i < count; i += kMR)
    for (i64 c = 0; c < p.d; c += kNR)
      tile_columns(static_cast<int>(std::min<i64>(kMR, count - i)), p.d - c <= kLanes, m.s + i, kNR, v + c,
                   v_ld, p.nk, m.o + i * m.ld + c, m.ld, false);
  T* const to = static_cast<T*>(p.o) + (batch * p.nq + t) * p.heads * p.d + h * p.d;
  for (i64 i = 0; i < count; ++i) {
    store_row(to + i * p.heads * p.d, m.o + i * m.ld, 1.0f, p.d);
    if (p.lse) p.lse[(batch * p.heads + h) * p.nq + t + i] = lse[i];
    if (t + kNR + i < p.nq) fetch(q + (kNR + i) * p.q_row, p.d);
  }
}

template <class T>
void run_few_keys(const k::Attention& p) {
  const i64 tasks = blocks_of(p.nq, kQueriesPerTask);
  parallel_for(p.batch * tasks, 1, [&](i64 first, i64 last) {
    const FewKeysBuffers m(scratch<float>(5, FewKeysBuffers::size(p.d)), p.d);
    for (i64 task = first; task < last; ++task) {
      const i64 batch = task / tasks, begin = task % tasks * kQueriesPerTask,
                end = std::min(begin + kQueriesPerTask, p.nq);
      for (i64 first_head = 0; first_head < p.heads; first_head += m.heads) {
        const i64 last_head = std::min(first_head + m.heads, p.heads);
        pack_few_keys<T>(p, batch, first_head, last_head, m);
        for (i64 t = begin; t < end; t += kNR)
          for (i64 h = first_head; h < last_head; ++h)
            attend_few_keys<T>(p, batch, h, t, std::min<i64>(kNR, end - t), m.k + (h - first_head) * p.d,
                               m.v + (h - first_head) * m.ld, m.heads * m.ld, m);
      }
    }
  });
}

}  // namespace
