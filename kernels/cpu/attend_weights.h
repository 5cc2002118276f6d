// The softmax inside attend.h: what is added to logits, and weights from a strip's logits. Included inside
// the level's namespace, after product_tiles.h.
//
// Logits are kept in base 2, times log2 e: a power of 2 is cheaper than one of e, and the factor hides in the
// scale.

namespace {

constexpr float kLog2e = 1.44269504088896341f, kLn2 = 0.69314718055994531f;

// The nearest integer; beyond 2^22 some integer near it.
BP_INLINE float nearest(float x) {
  constexpr float shifter = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  return (x + shifter) - shifter;
}

// 2^r for r from -1/2 to 1/2, relative error below 2e-7: Remez's polynomial, and rounding.
BP_INLINE vf exp2_near_0(vf r) {
  vf p = splat(0.00132764719794792f);
  p = p * r + 0.009675541334216064f;
  p = p * r + 0.05550713273542585f;
  p = p * r + 0.24022119723848476f;
  p = p * r + 0.6931469670647331f;
  return p * r + 1.0000000716546822f;
}

// 2^x from x = -126 to 127; 2^-126 below, which is nothing beside a weight near 1, and 2^127 or more above,
// with AVX-512 up to infinity. NaN stays NaN.
BP_INLINE vf exp2(vf x) {
  x = max(splat(-126.0f), x);
#if BP_ISA_LEVEL == 512
  const vf n = __builtin_ia32_rndscaleps_mask(x, 8, x, -1, 4);
  return __builtin_ia32_scalefps512_mask(exp2_near_0(x - n), n, n, -1, 4);
#else
  x = min(splat(127.0f), x);
  const vf shifter = splat(12582912.0f), shifted = x + shifter;
  const vf p = exp2_near_0(x - (shifted - shifter));
  return reinterpret_cast<vf>(reinterpret_cast<vi>(p) + (reinterpret_cast<vi>(shifted) << 23));
#endif
}

// out[i] = the sum of the lanes of x[i], for i < rows: all rows of a square at once, since one row at a time
// is a chain of shuffles to wait for.
BP_INLINE void sums_across(const vf* x, int rows, float* out) {
  for (int first = 0; first < rows; first += kLanes) {
    vi square[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      square[i] = reinterpret_cast<vi>(x[first + i < rows ? first + i : first]);
    transpose(square);
    for (int w = kLanes / 2; w > 0; w /= 2)
      for (int i = 0; i < w; ++i)
        square[i] =
            reinterpret_cast<vi>(reinterpret_cast<vf>(square[i]) + reinterpret_cast<vf>(square[i + w]));
    store_part(out + first, reinterpret_cast<vf>(square[0]), std::min(kLanes, rows - first));
  }
}

// What is added to the logits of a strip, in base 2, has a function row(i, less): it returns a function of j
// = 0, kLanes, ... that is what is added to row i's logits j to j + kLanes, minus less; in lanes beyond the
// last logit any number.
struct AddedNothing {
  BP_INLINE auto row(int, vf less) const {
    return [=](i64) __attribute__((always_inline)) {
      return -less;
    };
  }
};

// Rows in memory, readable to the end of their last vector.
template <int kRows>
struct AddedRows {
  const float* at[kRows];
  BP_INLINE auto row(int i, vf less) const {
    return [ less, from = at[i] ](i64 j) __attribute__((always_inline)) {
      return load(from + j) - less;
    };
  }
};

// Weights 2^(logit - ref[i]) of the rows of a strip from their products s with the keys, in place, as words
// for the second product: a logit is scale times a product, plus what is added. The sum of row i to sums[i].
template <class Tile, class Added>
void weigh(float* s, const Added& added, int rows, i64 n, float scale, const float* refs, float* sums) {
  vf all[Tile::kRows];
  for (int i = 0; i < rows; ++i, s += kAStride) {
    const auto add = added.row(i, splat(refs[i]));
    const auto weight = [&](i64 j) __attribute__((always_inline)) {
      return exp2(scale * load(s + j) + add(j));
    };
    auto* const halves = reinterpret_cast<std::uint16_t*>(s);
    const auto put = [&](i64 j, vf e) __attribute__((always_inline)) {
      if constexpr (Tile::kPair == 1)
        store(s + j, e);
      else  // half up: ties are rare, and NaN stays NaN
        *reinterpret_cast<vh_any*>(halves + j) =
            __builtin_convertvector((reinterpret_cast<vu>(e) + 0x8000u) >> 16, vh);
    };
    vf sum{};
    i64 j = 0;
    for (; j + kLanes <= n; j += kLanes) {
      const vf e = weight(j);
      put(j, e);
      sum += e;
    }
    if (j < n) {
      const vf e = first_lanes(weight(j), n - j);
      put(j, e);
      sum += e;
      j += kLanes;
    }
    if constexpr (Tile::kPair == 2)
      for (; j < words_of<Tile>(n) * 2; j += kLanes) put(j, vf{});
    all[i] = sum;
  }
  sums_across(all, rows, sums);
}

// The largest of n logits of row i, whose products are s.
template <class Added>
float largest(const float* s, const Added& added, int i, i64 n, float scale) {
  const auto add = added.row(i, vf{});
  float top = -__builtin_inff();
  for (i64 j = 0; j < n; j += kLanes) {
    const vf x = scale * load(s + j) + add(j);
    for (i64 lane = 0; lane < std::min<i64>(kLanes, n - j); ++lane) top = std::max(top, x[lane]);
  }
  return top;
}

}  // namespace
