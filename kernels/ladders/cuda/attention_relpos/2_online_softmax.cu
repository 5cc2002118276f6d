// One pass instead of three kernels: a softmax whose maximum and sum are corrected as keys arrive (Milakov
// and Gimelshein, 2018) needs no row of the matrix at once, so the 3.2 GB that the first rung moves for ViT-B
// are never written. A block has 128 queries, a thread one of them; tiles of 32 keys and values, made f32,
// are in shared memory for all, and one read of 16 bytes there serves a warp for 4 multiply-adds. What is
// left to move are the tiles, 34 MB a head in bf16 at 4096 tokens and heads of 64, mostly from L2; what is
// left to do is 4 tokens^2 d operations on CUDA cores.
#include "kernels/ladders/cuda/attention_relpos/grid.h"
#include "kernels/ladders/cuda/thread_query.h"

namespace bp::cuda::relpos {
namespace {

constexpr int kQueries = 128, kKeys = 32;  // of a block; of a tile
constexpr int kAtOnce = 8;                 // keys between two corrections of the softmax

// Rows first .. first + kKeys of keys (part 1) or values (2), as f32; zeros after the last.
template <int D, class T>
__device__ __forceinline__ void load_tile(float* tile, const Grid<T>& a, i64 unit, int part, int first) {
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * D; i += kQueries) {
    const int t = first + i / D;
    tile[i] = t < a.tokens ? load_f32(a.row(unit, part, t)[i % D]) : 0.0f;
  }
}

// What query t adds for keys in each row (entries 0 .. h), then in each column of the grid, times log2(e). A
// thread writes and reads its own column of the block's table [h + w, kQueries].
template <class T, int D>
__device__ __forceinline__ void make_positions(float* to, const Grid<T>& a, const ThreadQuery<D>& query,
                                               int t) {
  for (int ky = 0; ky < a.h; ++ky)
    to[ky * kQueries] = query.dot(a.rel_h + (t / a.w - ky + a.h - 1) * D) * kLog2E;
  for (int kx = 0; kx < a.w; ++kx)
    to[(a.h + kx) * kQueries] = query.dot(a.rel_w + (t % a.w - kx + a.w - 1) * D) * kLog2E;
}

template <class T, int D>
__global__ void __launch_bounds__(kQueries) attend(const Grid<T> a, float* table) {
  BP_SHARED(float, keys, kKeys* D);
  BP_SHARED(float, values, kKeys* D);
  const int blocks = (a.tokens + kQueries - 1) / kQueries;
  const i64 unit = blockIdx.x / static_cast<unsigned>(blocks);
  const int block = static_cast<int>(blockIdx.x % static_cast<unsigned>(blocks)),
            t = block * kQueries + static_cast<int>(threadIdx.x),
            inside = t < a.tokens ? t : a.tokens - 1;  // threads too many compute the last query again
  ThreadQuery<D> query(a.row(unit, 0, inside));
  float* const positions =
      table + static_cast<i64>(blockIdx.x) * (a.h + a.w) * kQueries + static_cast<int>(threadIdx.x);
  make_positions(positions, a, query, inside);

  int ky = 0, kx = 0;
  for (int first = 0; first < a.tokens; first += kKeys) {
    __syncthreads();  // all have left the tiles before
    load_tile<D>(keys, a, unit, 1, first);
    load_tile<D>(values, a, unit, 2, first);
    __syncthreads();
#pragma unroll 1
    for (int k = 0; k < kKeys; k += kAtOnce) {
      float s[kAtOnce];
      query.dots(s, keys + k * D);
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        if (first + k + j >= a.tokens) {
          s[j] = -__builtin_inff();
          continue;
        }
        s[j] = s[j] * a.scale2 + positions[ky * kQueries] + positions[(a.h + kx) * kQueries];
        if (++kx == a.w) {
          kx = 0;
          ++ky;
        }
      }
      query.add(s, values + k * D);
    }
  }
  if (t >= a.tokens) return;
  query.store(a.out(unit, t));
  if (a.lse) a.lse[unit * a.tokens + t] = query.lse();
}

template <class T>
void run(const WindowAttention& args) {
  const Grid<T> a(args);
  if (a.units == 0) return;
  const i64 blocks = a.units * ceil_div(a.tokens, kQueries);
  auto* const table = workspace<float>(0, blocks * (a.h + a.w) * kQueries);
  with_usual_head(a.d, [&](auto d) {
    launch(attend<T, d()>, dim3(static_cast<unsigned>(blocks)), dim3(kQueries), 0, a, table);
  });
}

}  // namespace

bool takes_vit_heads(const WindowAttention& a) {
  return takes_any_head(a) && is_usual_head(a.d) && is_aligned(a);
}

void online_softmax(const WindowAttention& a) {
  a.dtype == DType::bf16 ? run<bf16>(a) : run<float>(a);
}

}  // namespace bp::cuda::relpos
