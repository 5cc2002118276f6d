// One pass instead of three kernels: a softmax whose maximum and sum are corrected as keys arrive (Milakov
// and Gimelshein, 2018) needs no row of the matrix at once, so the 3.2 GB that the first rung moves for ViT-B
// are never written. A block has 128 queries, a thread one of them; tiles of 32 keys and values, made f32,
// are in shared memory for all. Memory traffic is then the tiles: keys and values once per 128 queries, 32 MB
// a head in bf16 at 4096 tokens and d = 64, mostly from L2, and the two table entries of each logit.
// What is left is arithmetic: 4 tokens^2 d operations on CUDA cores, with one read of 16 bytes from shared
// memory for every 4 multiply-adds.
#include "kernels/ladders/cuda/attention_relpos/position_table.h"
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

template <class T, int D>
__global__ void __launch_bounds__(kQueries) attend(const Grid<T> a, const float* table) {
  BP_SHARED(float, keys, kKeys* D);
  BP_SHARED(float, values, kKeys* D);
  const int blocks = (a.tokens + kQueries - 1) / kQueries;
  const i64 unit = blockIdx.x / static_cast<unsigned>(blocks);
  const int block = static_cast<int>(blockIdx.x % static_cast<unsigned>(blocks)),
            t = block * kQueries + static_cast<int>(threadIdx.x),
            inside = t < a.tokens ? t : a.tokens - 1;  // threads too many compute the last query again
  const float* const of_query = table + unit * (a.h + a.w) * a.tokens + inside;
  ThreadQuery<D> query(a.row(unit, 0, inside));

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
        s[j] = s[j] * a.scale2 + of_query[static_cast<i64>(ky) * a.tokens] +
               of_query[static_cast<i64>(a.h + kx) * a.tokens];
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
  const float* const table = make_position_table(a, 0);
  const auto blocks = static_cast<unsigned>(a.units * ceil_div(a.tokens, kQueries));
  with_usual_head(a.d, [&](auto d) { launch(attend<T, d()>, dim3(blocks), dim3(kQueries), 0, a, table); });
}

}  // namespace

bool takes_vit_heads(const WindowAttention& a) {
  return takes_any_head(a) && is_usual_head(a.d) && is_aligned(a);
}

void online_softmax(const WindowAttention& a) {
  a.dtype == DType::bf16 ? run<bf16>(a) : run<float>(a);
}

}  // namespace bp::cuda::relpos
