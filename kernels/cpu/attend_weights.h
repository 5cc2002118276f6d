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

// Sums of the weights of a strip's rows. `used` are those of what the second product multiplies by, which may
// have been rounded to bf16: outputs are divided by them, so that the rounding of a weight that leads all
// others goes out. `exact` are those of the weights before that, where they are asked for.
template <class Tile>
struct WeightSums {
  float used[Tile::kRows], exact[Tile::kRows];
};

// Weights 2^(logit - ref[i]) of the rows of a strip from their products s with the keys, in place, as words
// for the second product: a logit is scale times a product, plus what is added.
template <class Tile, bool exact, class Added>
void weigh(float* s, const Added& added, int rows, i64 n, float scale, const float* refs,
           WeightSums<Tile>& sums) {
  vf used_sums[Tile::kRows], exact_sums[Tile::kRows];
  for (int i = 0; i < rows; ++i, s += kAStride) {
    const auto add = added.row(i, splat(refs[i]));
    const auto weight = [&](i64 j) __attribute__((always_inline)) {
      return exp2(scale * load(s + j) + add(j));
    };
    auto* const halves = reinterpret_cast<std::uint16_t*>(s);
    vf used_sum{}, exact_sum{};
    const auto put = [&](i64 j, vf e) __attribute__((always_inline)) {
      if constexpr (Tile::kPair == 1) {
        store(s + j, e);
        used_sum += e;
      } else {  // half up: ties are rare, and NaN stays NaN
        const vu up = reinterpret_cast<vu>(e) + 0x8000u;
        *reinterpret_cast<vh_any*>(halves + j) = __builtin_convertvector(up >> 16, vh);
        used_sum += reinterpret_cast<vf>(up & 0xffff0000u);
      }
      if constexpr (exact) exact_sum += e;
    };
    i64 j = 0;
    for (; j + kLanes <= n; j += kLanes) put(j, weight(j));
    if (j < n) put(j, first_lanes(weight(j), n - j)), j += kLanes;
    if constexpr (Tile::kPair == 2)
      for (; j < words_of<Tile>(n) * 2; j += kLanes) put(j, vf{});
    used_sums[i] = used_sum, exact_sums[i] = exact_sum;
  }
  sums_across(used_sums, rows, sums.used);
  if constexpr (exact) sums_across(exact_sums, rows, sums.exact);
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
