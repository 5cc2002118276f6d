// Against rung 3: a block copies what 8 x 16 outputs need, 10 x 18 inputs of 128 bytes of channels, to shared
// memory by cp.async (8 x 8 and 17 x 17 at stride 2), and its threads slide along rows there. Each input
// leaves L2 180 / 128 = 1.4 times instead of 3.4, and a copy needs no register to wait in: a block has 23 KB
// under way at once. The price is a barrier, nobody computing before the whole tile is there, and a second
// trip of each byte through shared memory. Whether that beats the L1 cache of rung 3 is the question.
#include "kernels/ladders/cuda/depthwise/rungs.h"
#include "kernels/ladders/cuda/depthwise/slide.h"

namespace bp::cuda {
namespace {

using namespace memory_ladder;

constexpr int kThreads = 256, kDown = 8, kChunks = 8, N = 4;  // rows of outputs, chunks of 16 bytes, channels

template <class T, int Stride>
struct Tile {
  static constexpr int kAcross = Stride == 1 ? 16 : 8;  // columns of outputs
  static constexpr int kHeight = (kDown - 1) * Stride + 3, kWidth = (kAcross - 1) * Stride + 3;  // of inputs
  static constexpr int kChannels = kChunks * kPackOf<T>, kLanes = kChannels / N;
  static constexpr int kOutputs = kAcross * kDown * kLanes / kThreads;  // of a thread, along a row
  static constexpr std::size_t kBytes = sizeof(T) * kHeight * kWidth * kChannels;
};

template <class T, int Stride>
__global__ void __launch_bounds__(kThreads, 2)
    tile_of_a_block(Depthwise p, i64 oh, i64 ow, i64 tiles_across) {
  using Tile = Tile<T, Stride>;
  T* const tile = dynamic_shared<T>();  // [kHeight][kWidth][kChannels]
  const int thread = static_cast<int>(threadIdx.x);
  const i64 first_channel = i64{blockIdx.y} * Tile::kChannels, tiles_down = (oh + kDown - 1) / kDown;
  const i64 tx = blockIdx.x % tiles_across * Tile::kAcross,
            ty = blockIdx.x / tiles_across % tiles_down * kDown,
            image = blockIdx.x / tiles_across / tiles_down;
  const T* x = static_cast<const T*>(p.x) + image * p.h * p.w * p.c;

  for (int chunk = thread; chunk < Tile::kHeight * Tile::kWidth * kChunks; chunk += kThreads) {
    const int pixel = chunk / kChunks;
    const i64 channel = first_channel + chunk % kChunks * kPackOf<T>;
    const i64 iy = ty * Stride - 1 + pixel / Tile::kWidth, ix = tx * Stride - 1 + pixel % Tile::kWidth;
    const bool inside = channel < p.c && iy >= 0 && iy < p.h && ix >= 0 && ix < p.w;
    copy_async16(tile + chunk * kPackOf<T>, inside ? x + (iy * p.w + ix) * p.c + channel : x, inside);
  }
  commit_copies();
  const int lane = thread % Tile::kLanes, part = thread / Tile::kLanes;
  const int across = part % (Tile::kAcross / Tile::kOutputs) * Tile::kOutputs,
            down = part / (Tile::kAcross / Tile::kOutputs);
  const i64 channel = first_channel + lane * N, ox = tx + across, oy = ty + down;
  const bool here = channel < p.c && oy < oh && ox < ow;
  Taps<N> taps;
  if (here) load_taps<N, T>(taps, p, channel);
  wait_copies<0>();
  __syncthreads();
  if (!here) return;

  const T* in = tile + ((down * Stride) * Tile::kWidth + across * Stride) * Tile::kChannels + lane * N;
  const auto load = [&](int j, float(&column)[3][N]) {
#pragma unroll
    for (int r = 0; r < 3; ++r) load_floats(in + (r * Tile::kWidth + j) * Tile::kChannels, column[r]);
  };
  T* y = static_cast<T*>(p.y) + ((image * oh + oy) * ow + ox) * p.c + channel;
  const int count = static_cast<int>(ow - ox < Tile::kOutputs ? ow - ox : i64{Tile::kOutputs});
  slide<Stride>(count, taps, p.act, load,
                [&](int s, const float(&values)[N]) { store_floats(y + s * p.c, values); });
}

template <class T, int Stride>
void run(const Depthwise& p) {
  using Tile = Tile<T, Stride>;
  const i64 oh = (p.h - 1) / Stride + 1, ow = (p.w - 1) / Stride + 1;
  const i64 tiles_across = ceil_div(ow, Tile::kAcross), tiles = p.n * tiles_across * ceil_div(oh, kDown);
  const dim3 grid(static_cast<unsigned>(tiles), blocks_for(p.c, Tile::kChannels));
  launch(tile_of_a_block<T, Stride>, grid, kThreads, Tile::kBytes, p, oh, ow, tiles_across);
}

}  // namespace

void depthwise_4_shared_tile(const Depthwise& p) {
  with_type(p.dtype, [&](auto element) {
    using T = decltype(element);
    p.stride == 1 ? run<T, 1>(p) : run<T, 2>(p);
  });
}

}  // namespace bp::cuda
