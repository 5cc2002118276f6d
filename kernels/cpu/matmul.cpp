// Matrix product (product.h); two kinds of it have files of their own.
#include <algorithm>
#include <type_traits>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"
#include "kernels/cpu/product.h"
#include "kernels/cpu/product_flat.h"
#include "kernels/cpu/table.h"

template <class T>
static void run(const k::Matmul& p) {
  if (p.ta && !p.tb) return matmul_tn(p);
  // Not where bf16 has a unit of its own, which adds in another order.
  const bool as_tiles_do = std::is_same_v<T, float> || !(bf16_dot() || bf16_amx());
  if (p.tb && !p.ta && p.m <= kFewRows && as_tiles_do && !p.packed) return matmul_few_rows(p);
  with_tile<T>([&](auto tile) {
    using Tile = decltype(tile);
    is_flat<Tile>(p) ? multiply_flat<Tile, T>(p) : multiply<Tile, T, T>(p, Matrix<Tile, T>{p});
  });
}

template <class T>
static i64 bytes_of(i64 rows, i64 depth) {
  i64 bytes = 0;
  with_tile<T>([&](auto tile) {
    bytes = blocks_of(rows, kNR) * kNR * words_of<decltype(tile)>(depth) * static_cast<i64>(sizeof(Word));
  });
  return bytes;
}

template <class T>
static void run(const k::PackWeight& p) {
  k::Matmul m{};
  m.b = p.weight, m.n = p.rows, m.k = p.depth, m.tb = true, m.ldb = p.depth;
  with_tile<T>([&](auto tile) {
    pack_all<decltype(tile)>(m, static_cast<const T*>(p.weight), static_cast<Word*>(p.packed));
  });
}

i64 packed_bytes(i64 rows, i64 depth, DType dtype) {
  return dtype == DType::f32 ? bytes_of<float>(rows, depth) : bytes_of<bf16>(rows, depth);
}

void pack_weight(const k::PackWeight& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}

void matmul(const k::Matmul& p) {
  if (p.m == 0 || p.n == 0) return;
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
