// Sums of squares of many tensors. Floor: all read once. Blocks sum pieces; a warp then adds those of a
// tensor, so a sum depends on its tensor alone.
#include "kernels/cuda/pieces.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

using Items = Group<SquaredNorms::Item>;

template <class T>
struct Squares {
  const T* x;
  float sum;
  template <int N>
  __device__ void at(i64 i) {
    float v[N];
    load_floats(x + i, v);
#pragma unroll
    for (int k = 0; k < N; ++k) sum += v[k] * v[k];
  }
};

template <class T>
__device__ __forceinline__ float sum_of_squares(const void* x, const Piece& piece) {
  Squares<T> squares{static_cast<const T*>(x), 0};
  if (reinterpret_cast<std::uintptr_t>(x) % 16 == 0)
    each_of_piece<kPackOf<T>>(piece, squares);
  else
    each_of_piece<1>(piece, squares);
  return squares.sum;
}

__global__ void __launch_bounds__(kThreads) sum_pieces(Items group, float* partial) {
  BP_SHARED(float, scratch, 32);
  const Piece piece = piece_of(group, static_cast<int>(blockIdx.x));
  const void* x = group.items[piece.item].x;
  const float sum = group.items[piece.item].dtype == DType::f32 ? sum_of_squares<float>(x, piece)
                                                                : sum_of_squares<bf16>(x, piece);
  const float all = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = all;
}

__global__ void __launch_bounds__(kThreads) add_pieces(Items group, const float* partial, float* y) {
  const int item = static_cast<int>((blockIdx.x * kThreads + threadIdx.x) / kWarpSize),
            lane = static_cast<int>(threadIdx.x % kWarpSize);
  float sum = 0;
  if (item < group.count)
    for (int i = group.first[item] + lane; i < group.first[item + 1]; i += kWarpSize) sum += partial[i];
  sum = warp_sum(sum);
  if (item < group.count && lane == 0) y[item] = sum;
}

}  // namespace

void squared_norms(const SquaredNorms& a) {
  each_group(a.items, a.count, [&](const Items& group, i64 from, unsigned pieces) {
    auto* partial = workspace<float>(0, std::max<i64>(1, pieces));
    if (pieces > 0) launch(sum_pieces, pieces, kThreads, 0, group, partial);
    launch(add_pieces, static_cast<unsigned>(ceil_div(group.count, kThreads / kWarpSize)), kThreads, 0, group,
           partial, a.y + from);
  });
}

}  // namespace bp::cuda
