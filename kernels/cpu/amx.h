// The instructions of AMX that the tile of bf16 products needs, and a stand-in for them in plain C++, for
// machines without: both have the same members, so that code is written once over either.
//
// AMX has eight registers of up to 16 rows of 64 bytes, whose sizes a 64-byte configuration gives (Intel's
// Architecture Instruction Set Extensions, chapter 3). A register of A holds 16 rows x 32 bf16; one of B 16
// pairs of rows x 16 columns x 2 bf16; dot() adds A B to 16 x 16 f32: 8192 multiply-adds.
#pragma once
#include "kernels/dtype.h"

namespace bp::cpu::amx {

// Switches the stand-in on or off, for tests. While it is on, products, attention and the rungs that use AMX
// take the way that they take on a machine that has it.
void use_stand_in(bool on);
bool stand_in();

struct Config {  // as LDTILECFG reads it
  u8 palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  u8 rows[16] = {};
};
static_assert(sizeof(Config) == 64);

// All eight registers at their full size.
inline Config full_tiles() {
  Config config;
  for (int t = 0; t < 8; ++t) config.row_bytes[t] = 64, config.rows[t] = 16;
  return config;
}

// The processor's. Written as assembler, because the compiler's functions take the numbers of registers only
// as digits in the source, and do not say that they read and write memory.
struct Unit {
  static void configure(const Config& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
  static void release() { asm volatile("tilerelease"); }
  template <int t>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(t));
  }
  template <int t>
  static void load(const void* from, i64 stride_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride_bytes), "i"(t) : "memory");
  }
  template <int t>
  static void store(void* to, i64 stride_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride_bytes), "i"(t) : "memory");
  }
  template <int c, int a, int b>
  static void dot() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }
};

// The same on arrays. What the processor would fault on throws: a tile used without configuration.
class StandIn {
 public:
  static void configure(const Config& config);
  static void release();
  template <int t>
  static void zero() {
    zero_tile(t);
  }
  template <int t>
  static void load(const void* from, i64 stride_bytes) {
    load_tile(t, from, stride_bytes);
  }
  template <int t>
  static void store(void* to, i64 stride_bytes) {
    store_tile(t, to, stride_bytes);
  }
  template <int c, int a, int b>
  static void dot() {
    dot_tiles(c, a, b);
  }

 private:
  static void zero_tile(int t);
  static void load_tile(int t, const void* from, i64 stride_bytes);
  static void store_tile(int t, void* to, i64 stride_bytes);
  static void dot_tiles(int c, int a, int b);
};

}  // namespace bp::cpu::amx
