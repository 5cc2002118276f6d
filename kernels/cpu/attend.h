// Attention over one unit (one head of one batch entry or window) with an online softmax, shared by
// attention.cpp and window_attention.cpp. Included inside the level's namespace, after gemm.h.
//
// Keys and values of a unit are packed once into panels: K transposed as [panel of kNR keys][d][kNR], V as
// [panel of kNR columns][keys][kNR]. Queries come in blocks of a few strips; per block of keys a strip's
// logits stay in L1 between the two products, so no matrix of queries x keys ever exists.

constexpr int kQueryStrips = 4;
constexpr int kQueryRows = kQueryStrips * kMR;
constexpr i64 kMaxHead = 256;  // largest head dimension
static_assert(kMaxHead <= kKC);

constexpr i64 panel_count(i64 n) {
  return (n + kNR - 1) / kNR;
}

struct Unit {
  i64 keys, d;
  float *k, *v;  // panels
  static i64 k_size(i64 keys, i64 d) { return panel_count(keys) * kNR * d; }
  static i64 v_size(i64 keys, i64 d) { return panel_count(d) * kNR * keys; }
};

// Packs keys [begin, end) (begin a multiple of kNR); key(t) and value(t) point to the d numbers of token t.
template <class T, class Key, class Value>
static void pack_keys(const Unit& unit, i64 begin, i64 end, const Key& key, const Value& value) {
  const i64 d = unit.d;
  for (i64 t = begin; t < end; ++t) {
    const T* from = key(t);
    float* to = unit.k + t / kNR * kNR * d + t % kNR;
    for (i64 c = 0; c < d; ++c) to[c * kNR] = to_f32(from[c]);
    const T* v = value(t);
    for (i64 c = 0; c < d; c += kNR) {
      float* row = unit.v + (c / kNR * unit.keys + t) * kNR;
      const i64 width = std::min<i64>(kNR, d - c);
      for (i64 i = 0; i < width; ++i) row[i] = to_f32(v[c + i]);
      for (i64 i = width; i < kNR; ++i) row[i] = 0.0f;
    }
  }
  // Columns beyond the last key: read by the product, ignored by the softmax, but never uninitialised.
  if (end == unit.keys)
    for (i64 t = end; t < panel_count(end) * kNR; ++t)
      for (i64 c = 0; c < d; ++c) unit.k[(t / kNR * d + c) * kNR + t % kNR] = 0.0f;
}

// One row of logits: adds the position bias, if any, raises the running maximum, and turns the row into
// exp(logit - max). The row is padded to whole vectors. Returns the factor by which everything summed before
// must shrink.
BP_INLINE float soften(float* row, const float* bias, i64 n, float& row_max, float& row_sum) {
  const i64 whole = (n + kLanes - 1) / kLanes * kLanes;
  for (i64 j = n; j < whole; ++j) row[j] = -__builtin_inff();
  vf top = splat(-__builtin_inff());
  if (bias) {
    for (i64 j = 0; j < whole; j += kLanes) {
      const vf s = load(row + j) + load(bias + j);
      store(row + j, s);
      top = max(top, s);
    }
  } else {
    for (i64 j = 0; j < whole; j += kLanes) top = max(top, load(row + j));
  }
  const float before = row_max, now = std::max(before, max_lanes(top));
  vf sum{};
  for (i64 j = 0; j < whole; j += kLanes) {
    const vf e = exp(load(row + j) - splat(now));
    store(row + j, e);
    sum += e;
  }
  const float shrink = before == -__builtin_inff() ? 0.0f : __builtin_expf(before - now);
  row_max = now;
  row_sum = row_sum * shrink + sum_lanes(sum);
  return shrink;
}

// Buffers of one thread for attend().
struct AttendBuffers {
  float* q;     // [kQueryRows][kAStride]: scaled queries
  float* s;     // [kMR][kAStride]: logits of a strip
  float* o;     // [kQueryRows][panel_count(d) * kNR]: outputs, not yet divided
  float* bias;  // [kKC + kLanes]
  static i64 size(i64 d) {
    return (kQueryRows + kMR) * kAStride + kQueryRows * panel_count(d) * kNR + kKC + kLanes;
  }
  AttendBuffers(float* memory, i64 d)
      : q(memory),
        s(q + kQueryRows * kAStride),
        o(s + kMR * kAStride),
        bias(o + kQueryRows * panel_count(d) * kNR) {}
};

// Queries [begin, end), at most kQueryRows of them, over all keys of the unit. query(t) points to the d
// numbers of query t; make_bias(t, key0, n, out) fills out[0..n) (and may write kLanes - 1 beyond) with the
// position bias of query t and returns out, or returns null. finish(t, o, lse) takes the d results, f32, and
// the log of the softmax denominator.
template <class T, class Query, class MakeBias, class Finish>
static void attend(const Unit& unit, i64 begin, i64 end, float scale, const AttendBuffers& buffers,
                   const Query& query, const MakeBias& make_bias, const Finish& finish) {
  const int rows = static_cast<int>(end - begin);
  constexpr i64 key_block = kKC / kNR * kNR;
  const i64 d = unit.d, o_ld = panel_count(d) * kNR;
  float row_max[kQueryRows], row_sum[kQueryRows];
  for (int i = 0; i < rows; ++i) {
    pack_rows(query(begin + i), 0, 1, d, scale, buffers.q + i * kAStride);
    row_max[i] = -__builtin_inff();
    row_sum[i] = 0.0f;
  }
  std::fill(buffers.o, buffers.o + rows * o_ld, 0.0f);

  for (i64 key0 = 0; key0 < unit.keys; key0 += key_block) {
    const i64 n = std::min(key_block, unit.keys - key0);
    for (int strip = 0; strip < rows; strip += kMR) {
      const int count = std::min(kMR, rows - strip);
      for (i64 j = 0; j < n; j += kNR)
        tile(count, n - j <= kLanes, buffers.q + strip * kAStride, unit.k + (key0 + j) * d, d, buffers.s + j,
             kAStride, false);
      for (int i = strip; i < strip + count; ++i) {
        const float* bias = make_bias(begin + i, key0, n, buffers.bias);
        const float shrink = soften(buffers.s + (i - strip) * kAStride, bias, n, row_max[i], row_sum[i]);
        float* o = buffers.o + i * o_ld;
        if (key0 > 0 && shrink != 1.0f)
          for (i64 c = 0; c < o_ld; c += kLanes) store(o + c, shrink * load(o + c));
      }
      for (i64 c = 0; c < d; c += kNR)
        tile(count, d - c <= kLanes, buffers.s, unit.v + (c / kNR * unit.keys + key0) * kNR, n,
             buffers.o + strip * o_ld + c, o_ld, true);
    }
  }
  for (int i = 0; i < rows; ++i) {
    float* o = buffers.o + i * o_ld;
    const float inverse = 1.0f / row_sum[i];
    for (i64 c = 0; c < o_ld; c += kLanes) store(o + c, inverse * load(o + c));
    finish(begin + i, o, row_max[i] + __builtin_logf(row_sum[i]));
  }
}

template <class T>
BP_INLINE void store_row(T* to, const float* from, i64 n) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
  for (; i < n; ++i) to[i] = from_f32<T>(from[i]);
}
