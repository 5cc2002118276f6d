// Vectors of the level BP_ISA in GCC's vector extension: arithmetic is written with operators and compiles to
// the level's instructions. Include after isa_begin.h (this file has no includes but gelu.h, a part of it, on
// purpose). Functions here are always inlined, so no two levels can share a copy.

#if BP_ISA_LEVEL == 512
#define BP_VECTOR_BYTES 64
#elif BP_ISA_LEVEL == 2
#define BP_VECTOR_BYTES 32
#else
#define BP_VECTOR_BYTES 16
#endif
#define BP_INLINE [[gnu::always_inline]] inline

constexpr int kLanes = BP_VECTOR_BYTES / 4;
typedef float vf __attribute__((vector_size(BP_VECTOR_BYTES)));
typedef std::int32_t vi __attribute__((vector_size(BP_VECTOR_BYTES)));
typedef std::uint32_t vu __attribute__((vector_size(BP_VECTOR_BYTES)));
typedef std::uint16_t vh __attribute__((vector_size(BP_VECTOR_BYTES / 2)));
typedef float vf_any __attribute__((vector_size(BP_VECTOR_BYTES), aligned(4), may_alias));
typedef std::uint16_t vh_any __attribute__((vector_size(BP_VECTOR_BYTES / 2), aligned(2), may_alias));

BP_INLINE vf splat(float x) {
  return x - vf{};
}  // x + 0 would turn -0 into +0, so the compiler would keep the addition

BP_INLINE vf load(const float* p) {
  return *reinterpret_cast<const vf_any*>(p);
}
BP_INLINE void store(float* p, vf x) {
  *reinterpret_cast<vf_any*>(p) = x;
}

BP_INLINE vf load(const bf16* p) {
  const vh h = *reinterpret_cast<const vh_any*>(p);
#if BP_ISA_LEVEL == 512  // one instruction, where g++ 12 makes six of the conversion
  typedef short words __attribute__((vector_size(BP_VECTOR_BYTES / 2)));
  return reinterpret_cast<vf>(__builtin_ia32_pmovzxwd512_mask(reinterpret_cast<words>(h), vi{}, -1) << 16);
#else
  return reinterpret_cast<vf>(__builtin_convertvector(h, vu) << 16);
#endif
}
BP_INLINE void store(bf16* p, vf x) {  // nearest even; NaN stays NaN
  const vu u = reinterpret_cast<vu>(x);
  const vu rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const vu nan = (u >> 16) | 0x40u;
  const vi is_nan = (x != x);
  const vu r = reinterpret_cast<vu>(is_nan ? reinterpret_cast<vi>(nan) : reinterpret_cast<vi>(rounded));
  *reinterpret_cast<vh_any*>(p) = __builtin_convertvector(r, vh);
}

// The first n < kLanes elements; the others are zero on load and untouched on store.
template <class T>
BP_INLINE vf load_part(const T* p, i64 n) {
  T buffer[kLanes] = {};
  for (i64 i = 0; i < n; ++i) buffer[i] = p[i];
  return load(buffer);
}
template <class T>
BP_INLINE void store_part(T* p, vf x, i64 n) {
  T buffer[kLanes];
  store(buffer, x);
  for (i64 i = 0; i < n; ++i) p[i] = buffer[i];
}

#if BP_ISA_LEVEL == 512
BP_INLINE vf load_part(const float* p, i64 n) {
  return __builtin_ia32_loadups512_mask(p, vf{}, static_cast<std::uint16_t>((1u << n) - 1));
}
BP_INLINE void store_part(float* p, vf x, i64 n) {
  __builtin_ia32_storeups512_mask(p, x, static_cast<std::uint16_t>((1u << n) - 1));
}
#elif BP_ISA_LEVEL == 2
BP_INLINE vi first_mask(i64 n) {
  const vi lane{0, 1, 2, 3, 4, 5, 6, 7};
  return lane < static_cast<std::int32_t>(n);
}
BP_INLINE vf load_part(const float* p, i64 n) {
  return __builtin_ia32_maskloadps256(reinterpret_cast<const vf*>(p), first_mask(n));
}
BP_INLINE void store_part(float* p, vf x, i64 n) {
  __builtin_ia32_maskstoreps256(reinterpret_cast<vf*>(p), first_mask(n), x);
}
#endif

// The same for n up to kLanes.
template <class T>
BP_INLINE vf load(const T* p, i64 n) {
  return n == kLanes ? load(p) : load_part(p, n);
}
template <class T>
BP_INLINE void store(T* p, vf x, i64 n) {
  if (n == kLanes)
    store(p, x);
  else
    store_part(p, x, n);
}

// A store past the caches: for results that no cache would hold until they are read: the line's old contents
// need not be fetched. p is aligned to a vector. Such stores are ordered by past_fence() alone, so a body of
// parallel_for that made some calls it at its end.
BP_INLINE void store_past(float* p, vf x) {
#if BP_ISA_LEVEL == 512
  __builtin_ia32_movntps512(p, x);
#elif BP_ISA_LEVEL == 2
  __builtin_ia32_movntps256(p, x);
#else
  store(p, x);
#endif
}
BP_INLINE void store_past(bf16* p, vf x) {
  store(p, x);
}
BP_INLINE void past_fence() {
#if BP_ISA_LEVEL != 0
  __builtin_ia32_sfence();
#endif
}
// Whether to stream `n` elements to y in rows of `cols`: they are more than half of a common last cache, and
// each row is a number of whole, aligned vectors.
BP_INLINE bool streams(const float* y, i64 n, i64 cols) {
  return n >= (i64{16} << 20) / 4 && cols % kLanes == 0 &&
         reinterpret_cast<std::uintptr_t>(y) % BP_VECTOR_BYTES == 0;
}
BP_INLINE bool streams(const bf16*, i64, i64) {
  return false;
}

// Calls body(i, n) for every vector of a row of `cols` elements: n = kLanes but for the last.
template <class F>
BP_INLINE void each_vector(i64 cols, F body) {
  i64 i = 0;
  for (; i + kLanes <= cols; i += kLanes) body(i, kLanes);
  if (i < cols) body(i, cols - i);
}

// x in the first n lanes, zero in the others.
BP_INLINE vf first_lanes(vf x, i64 n) {
  vi lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return lane < static_cast<std::int32_t>(n) ? x : vf{};
}

// a > b ? a : b, and a < b ? a : b: where either is NaN, b. One instruction, where g++ 12 compares and
// blends.
BP_INLINE vf max(vf a, vf b) {
#if BP_ISA_LEVEL == 512
  return __builtin_ia32_maxps512_mask(a, b, a, -1, 4);
#elif BP_ISA_LEVEL == 2
  return __builtin_ia32_maxps256(a, b);
#else
  return a > b ? a : b;
#endif
}
BP_INLINE vf min(vf a, vf b) {
#if BP_ISA_LEVEL == 512
  return __builtin_ia32_minps512_mask(a, b, a, -1, 4);
#elif BP_ISA_LEVEL == 2
  return __builtin_ia32_minps256(a, b);
#else
  return a < b ? a : b;
#endif
}

BP_INLINE float sum_lanes(vf x) {
  float s[kLanes];
  store(s, x);
  for (int w = kLanes / 2; w > 0; w /= 2)
    for (int i = 0; i < w; ++i) s[i] += s[i + w];
  return s[0];
}
BP_INLINE float max_lanes(vf x) {
  float s[kLanes];
  store(s, x);
  for (int w = kLanes / 2; w > 0; w /= 2)
    for (int i = 0; i < w; ++i) s[i] = s[i] > s[i + w] ? s[i] : s[i + w];
  return s[0];
}

// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r (least largest error), n added to the exponent;
// relative error below 2e-7. Below -87.3 it is 0; above 88.7 it stays at e^88.7 = 3.3e38; NaN stays NaN,
// which the order of operands sees to.
BP_INLINE vf exp(vf x) {
  const vf low = splat(-87.3f), high = splat(88.7f);
  const vf clamped = min(high, max(low, x));
  const vf shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, in the lowest bits
  const vf shifted = clamped * 1.44269504088896341f + shifter, n = shifted - shifter;
  const vf r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  vf p = splat(0.008312493562698364f);
  p = p * r + 0.04189012199640274f;
  p = p * r + 0.16667114198207855f;
  p = p * r + 0.499992311000824f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // p is in [0.7, 1.42] and below 1 where n is 128, so the exponent stays that of a normal number.
  const vi exponent = reinterpret_cast<vi>(shifted) << 23;
  const vf y = reinterpret_cast<vf>(reinterpret_cast<vi>(p) + exponent);
  return x < low ? splat(0.0f) : y;
}

// log(1 + x) for x in [0, 1], as 2 artanh(x / (2 + x)) by its series to the 13th power; relative error below
// 2e-7.
BP_INLINE vf log1p(vf x) {
  const vf s = x / (2.0f + x), s2 = s * s;
  vf p = splat(1.0f / 13);
  p = p * s2 + 1.0f / 11;
  p = p * s2 + 1.0f / 9;
  p = p * s2 + 1.0f / 7;
  p = p * s2 + 1.0f / 5;
  p = p * s2 + 1.0f / 3;
  p = p * s2 + 1.0f;
  return 2.0f * s * p;
}

BP_INLINE vf abs(vf x) {
  return reinterpret_cast<vf>(reinterpret_cast<vi>(x) & 0x7fffffff);
}

#include "kernels/cpu/gelu.h"

BP_INLINE vf relu(vf x) {
  return max(x, splat(0.0f));
}
BP_INLINE vf relu_slope(vf x) {
  return x > splat(0.0f) ? splat(1.0f) : splat(0.0f);
}
BP_INLINE vf sigmoid(vf x) {
  return 1.0f / (1.0f + exp(-x));
}

BP_INLINE vf activate(k::Act act, vf x) {
  return act == k::Act::gelu ? gelu(x) : act == k::Act::relu ? relu(x) : x;
}

// Asks the first-level cache, or the second, for a row ahead of its use. In assembly, because
// g++ removes loops of nothing but __builtin_prefetch.
template <class T>
BP_INLINE void fetch(const T* row, i64 n) {
  for (i64 i = 0; i < n; i += 64 / static_cast<i64>(sizeof(T))) {
    [[maybe_unused]] const T& line = row[i];
#if BP_ISA_LEVEL != 0
    asm volatile("prefetcht0 %0" : : "m"(line));
#endif
  }
}
template <class T>
BP_INLINE void fetch_to_l2(const T* row, i64 n) {
  for (i64 i = 0; i < n; i += 64 / static_cast<i64>(sizeof(T))) {
    [[maybe_unused]] const T& line = row[i];
#if BP_ISA_LEVEL != 0
    asm volatile("prefetcht1 %0" : : "m"(line));
#endif
  }
}
// Asks for a row that will be overwritten.
template <class T>
BP_INLINE void fetch_to_write(const T* row, i64 n) {
  for (i64 i = 0; i < n; i += 64 / static_cast<i64>(sizeof(T))) {
    [[maybe_unused]] const T& line = row[i];
#if BP_ISA_LEVEL != 0
    asm volatile("prefetchw %0" : : "m"(line));
#endif
  }
}
