// Element types of the system and the conversions between them.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bp {

enum class DType : std::uint8_t { f32, bf16, i32, u8 };

using i64 = std::int64_t;
using u8 = std::uint8_t;  // after DType, whose enumerator of that name g++ 12 would warn of

constexpr std::size_t size_of(DType t) {
  return t == DType::u8 ? 1 : t == DType::bf16 ? 2 : 4;
}
constexpr const char* name_of(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "?";
}

// bfloat16: the upper half of an IEEE f32. A storage type; arithmetic happens in f32.
struct bf16 {
  std::uint16_t bits;
};

inline float to_f32(float x) {
  return x;
}
inline float to_f32(bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

// Rounds to nearest even; a NaN stays a (quiet) NaN.
inline bf16 to_bf16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}

template <class T>
inline T from_f32(float x);
template <>
inline float from_f32<float>(float x) {
  return x;
}
template <>
inline bf16 from_f32<bf16>(float x) {
  return to_bf16(x);
}

// IEEE binary16 bits to f32, exact (subnormals, infinities and NaN included).
inline float half_to_f32(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t exponent = (h >> 10) & 31u, mantissa = h & 1023u;
  if (exponent == 0) {
    const float m = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(m) | sign);
  }
  const std::uint32_t e = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (e << 23) | (mantissa << 13));
}

}  // namespace bp
