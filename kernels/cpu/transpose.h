// Transposes squares of 32-bit numbers in registers. Included inside the level's namespace, after simd.h.

// Of f32, and of bf16 two by two.
typedef std::int32_t vi_any __attribute__((vector_size(BP_VECTOR_BYTES), aligned(2), may_alias));

// Exchanges the off-diagonal quarters of every square of 2 half x 2 half numbers.
template <int half>
BP_INLINE void exchange(vi (&rows)[kLanes]) {
  vi from_low, from_high;  // lanes of two rows, the second's counted from kLanes on
  for (int i = 0; i < kLanes; ++i) {
    from_low[i] = i & half ? i - half + kLanes : i;
    from_high[i] = i & half ? i + kLanes : i + half;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & half) continue;
    const vi low = rows[i], high = rows[i + half];
    rows[i] = __builtin_shuffle(low, high, from_low);
    rows[i + half] = __builtin_shuffle(low, high, from_high);
  }
}

// rows[i][j] becomes rows[j][i].
BP_INLINE void transpose(vi (&rows)[kLanes]) {
  if constexpr (kLanes == 16) exchange<8>(rows);
  if constexpr (kLanes >= 8) exchange<4>(rows);
  exchange<2>(rows);
  exchange<1>(rows);
}
