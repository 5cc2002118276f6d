// The processor's arithmetic: independent chains of multiply-adds in registers, with the widest instructions
// that it has for the type. Memory plays no part, so no kernel can be faster.
#include <algorithm>
#include <chrono>
#include <vector>

#include "bench/ceilings.h"
#include "kernels/threads.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bp::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Runs of the chains on one thread; the number keeps them from being left out.
struct Arithmetic {
  double ops_per_round;
  float (*run)(i64 rounds);
};

#if defined(__x86_64__)
// Twelve chains: two units of four cycles' latency need eight.
#define BP_CHAINS(EACH) \
  EACH(0) EACH(1) EACH(2) EACH(3) EACH(4) EACH(5) EACH(6) EACH(7) EACH(8) EACH(9) EACH(10) EACH(11)
constexpr double kChains = 12;

__attribute__((target("avx2,fma"))) float fma_avx2(i64 rounds) {
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
#define BP_DECLARE(i) __m256 c##i = _mm256_set1_ps(0.1f * i);
#define BP_STEP(i) c##i = _mm256_fmadd_ps(c##i, a, b);
#define BP_KEEP(i) asm volatile("" : "+x"(c##i));
  BP_CHAINS(BP_DECLARE)
  for (i64 r = 0; r < rounds; ++r) {
    BP_CHAINS(BP_STEP)
  }
  BP_CHAINS(BP_KEEP)
  return _mm256_cvtss_f32(c0);
#undef BP_DECLARE
#undef BP_STEP
#undef BP_KEEP
}

#define BP_KEEP(i) asm volatile("" : "+v"(c##i));
#define BP_DECLARE(i) __m512 c##i = _mm512_set1_ps(0.1f * i);

__attribute__((target("avx512f"))) float fma_avx512(i64 rounds) {
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
#define BP_STEP(i) c##i = _mm512_fmadd_ps(c##i, a, b);
  BP_CHAINS(BP_DECLARE)
  for (i64 r = 0; r < rounds; ++r) {
    BP_CHAINS(BP_STEP)
  }
  BP_CHAINS(BP_KEEP)
#undef BP_STEP
  return _mm512_cvtss_f32(c0);
}

// Pairs of bf16 multiplied and added to f32.
__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) float dot_avx512_bf16(i64 rounds) {
  const __m512 one = _mm512_set1_ps(1e-3f);
  const __m512bh a = _mm512_cvtne2ps_pbh(one, one);
#define BP_STEP(i) c##i = _mm512_dpbf16_ps(c##i, a, a);
  BP_CHAINS(BP_DECLARE)
  for (i64 r = 0; r < rounds; ++r) {
    BP_CHAINS(BP_STEP)
  }
  BP_CHAINS(BP_KEEP)
#undef BP_STEP
  return _mm512_cvtss_f32(c0);
}

// Tiles of 16 x 32 bf16 by 32 x 16, four sums.
struct alignas(64) TileConfig {
  unsigned char palette = 1, start_row = 0, reserved[14] = {};
  unsigned short column_bytes[16] = {64, 64, 64, 64, 64, 64};
  unsigned char rows[16] = {16, 16, 16, 16, 16, 16};
};
__attribute__((target("amx-tile,amx-bf16"))) float amx_bf16(i64 rounds) {
  const TileConfig config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (i64 r = 0; r < rounds; ++r) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_release();
  return 0;
}
bool may_use_tiles() {
  constexpr long kRequestState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return __builtin_cpu_supports("amx-bf16") && syscall(SYS_arch_prctl, kRequestState, kTileData) == 0;
}

std::vector<Arithmetic> instructions(DType dtype) {
  std::vector<Arithmetic> all;
  if (dtype == DType::f32) {
    if (__builtin_cpu_supports("fma")) all.push_back({kChains * 8 * 2, fma_avx2});
    if (__builtin_cpu_supports("avx512f")) all.push_back({kChains * 16 * 2, fma_avx512});
  } else {
    if (__builtin_cpu_supports("avx512bf16")) all.push_back({kChains * 32 * 2, dot_avx512_bf16});
    if (may_use_tiles()) all.push_back({4.0 * 16 * 16 * 32 * 2, amx_bf16});
  }
  return all;
}
#else
// What the compiler makes of vectors for this architecture.
typedef float Vector __attribute__((vector_size(16)));
float fma_vectors(i64 rounds) {
  Vector c[16];
  for (int i = 0; i < 16; ++i) c[i] = Vector{} + 0.1f * static_cast<float>(i);
  const Vector a = Vector{} + 0.999f, b = Vector{} + 1e-3f;
  for (i64 r = 0; r < rounds; ++r)
    for (int i = 0; i < 16; ++i) c[i] = c[i] * a + b;
  Vector sum = c[0];
  for (int i = 1; i < 16; ++i) sum += c[i];
  return sum[0];
}
std::vector<Arithmetic> instructions(DType dtype) {
  if (dtype != DType::f32) return {};
  return {{16 * 4 * 2.0, fma_vectors}};
}
#endif

// The best of some tries: others take a core for a while.
double rate(const Arithmetic& a) {
  constexpr i64 kRounds = 50000;
  constexpr int kTries = 200;
  const i64 pieces = 2 * threads();
  std::vector<float> kept(static_cast<std::size_t>(pieces));
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const auto begin = Clock::now();
    parallel_for(pieces, 1, [&](i64 from, i64) { kept[static_cast<std::size_t>(from)] = a.run(kRounds); });
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::max(best, a.ops_per_round * static_cast<double>(kRounds * pieces) / seconds);
  }
  return best;
}

}  // namespace

double cpu_peak(DType dtype) {
  double best = 0;
  for (const Arithmetic& a : instructions(dtype)) best = std::max(best, rate(a));
  return best;
}

}  // namespace bp::bench
