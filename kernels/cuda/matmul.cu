// Matrix product: chooses between the library and our own kernels, and how the latter cut it up (gemm.h). All
// choices follow from shapes and device alone, so equal calls give equal bits.
#include <type_traits>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/table.h"

#ifndef BP_SIMT
#include "kernels/cuda/library.h"
#endif

namespace bp::cuda {
namespace {

constexpr int kSumsSlot = 7;
constexpr i64 kMostSums = i64{1} << 24;  // elements: 64 MiB
constexpr i64 kLeastSteps = 16;          // of a split, to be worth its sums' way through memory

// C from the sums of the splits, added in their order. Floor: the sums read once, C written.
template <class T>
__global__ void __launch_bounds__(256)
    add_splits(const Matmul p, const float* sums, int splits, bool packed) {
  const unsigned packs = static_cast<unsigned>((p.n + 3) / 4), rows = static_cast<unsigned>(p.batch * p.m);
  const i64 plane = p.batch * p.m * p.n;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < rows * packs; i += gridDim.x * blockDim.x) {
    const i64 row = i / packs, column = i % packs * i64{4};
    const float* from = sums + row * p.n + column;
    float sum[4] = {};
    for (int s = 0; s < splits; ++s, from += plane) {
      Pack<float, 4> x{};
      if (p.n % 4 == 0) {
        x = load_pack<4>(from);
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e)
          if (column + e < p.n) x.v[e] = from[e];
      }
#pragma unroll
      for (int e = 0; e < 4; ++e) sum[e] += x.v[e];
    }
    finish<T>(p, packed, row / p.m, row % p.m, column, sum);
  }
}

// Whether rows of `cols` can be read in packs of N that lie wholly in or outside of a row.
template <int N, class T>
bool packs_of(const void* x, i64 cols, i64 ld, i64 batch) {
  return reinterpret_cast<std::uintptr_t>(x) % (N * sizeof(T)) == 0 && cols % N == 0 && ld % N == 0 &&
         batch % N == 0;
}
template <class Out>
bool packs_c(const Matmul& p) {
  return packs_of<4, Out>(p.c, p.n, p.ldc, p.c_batch) &&
         packs_of<4, Out>(p.residual, p.n, p.ldc, p.c_batch) && packs_of<4, Out>(p.bias, 0, 0, 0);
}

// Large tiles where there are enough of them, or enough depth to split; then splits that fill the device.
template <class T>
Gemm plan(const Matmul& p, bool& large) {
  constexpr i64 step = 64 / sizeof(T);
  const i64 wanted = multiprocessors();
  const auto down = [&](bool l) { return ceil_div(p.m, l ? kLargeRows : kSmall); };
  const auto across = [&](bool l) { return ceil_div(p.n, l ? kLargeColumns<T> : kSmall); };
  const auto tiles = [&](bool l) { return down(l) * across(l) * p.batch; };
  const i64 most = std::max<i64>(1, std::min(p.k / (kLeastSteps * step), kMostSums / (p.batch * p.m * p.n)));
  large = p.m > kSmall && (sizeof(T) == 4 || p.n > kSmall) && tiles(true) * most >= wanted;
  const i64 splits = tiles(large) >= wanted ? 1 : std::clamp<i64>(2 * wanted / tiles(large), 1, most);
  Gemm g{};
  g.p = p;
  g.packed_a = packs_of<16 / sizeof(T), T>(p.a, p.ta ? p.m : p.k, p.lda, p.a_batch);
  g.packed_b = packs_of<16 / sizeof(T), T>(p.b, p.tb ? p.k : p.n, p.ldb, p.b_batch);
  g.depth = std::max(step, ceil_div(ceil_div(p.k, splits), step) * step);
  g.splits = static_cast<int>(std::max<i64>(1, ceil_div(p.k, g.depth)));
  g.tiles_m = static_cast<unsigned>(down(large));
  g.tiles_n = static_cast<unsigned>(across(large));
  return g;
}

void run(float, const Gemm& g, bool large) {
  gemm_f32(g, large);
}
void run(bf16, const Gemm& g, bool large) {
  gemm_bf16(g, large);
}

// T: the type of A and B; Out: of C, bias and residual. Where they differ, C is contiguous and alpha 1.
template <class T, class Out>
void own_matmul(const Matmul& p) {
  bool large;
  Gemm g = plan<T>(p, large);
  const bool packed = packs_c<Out>(p), same = std::is_same_v<T, Out>;
  if (g.splits == 1 && (same || !p.accumulate)) {
    g.packed_c = packed;
    if (!same) g.sums = static_cast<float*>(p.c);
    return run(T{}, g, large);
  }
  g.packed_c = p.n % 4 == 0;
  g.sums = workspace<float>(kSumsSlot, g.splits * p.batch * p.m * p.n);
  run(T{}, g, large);
  const i64 packs = p.batch * p.m * ceil_div(p.n, 4);
  launch(add_splits<Out>, grid_for(packs, 256, 32 * multiprocessors()), 256, 0, p, g.sums, g.splits, packed);
}

}  // namespace

void product_f32(const Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  p.dtype == DType::bf16 ? own_matmul<bf16, float>(p) : own_matmul<float, float>(p);
}

void matmul(const Matmul& p) {
  if (p.batch == 0 || p.m == 0 || p.n == 0) return;
#ifndef BP_SIMT
  if (library_matmul(p)) return;
#endif
  p.dtype == DType::bf16 ? own_matmul<bf16, bf16>(p) : own_matmul<float, float>(p);
}

}  // namespace bp::cuda
