// Permutes, slices, joins and repeats. Floor: x read and y written once. Where both sides are contiguous
// along one axis, elements are joined to words of up to 16 bytes and a thread moves a word; where they are so
// along different axes, tiles of 32 x 32 elements go through shared memory, so that both sides move whole
// lines.
#include <utility>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/strided.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

constexpr int kTile = 32;

template <class Word, class I>
__global__ void __launch_bounds__(kThreads) copy_words(const Word* x, Word* y, cpu::Axes axes, I words) {
  const I threads = static_cast<I>(gridDim.x) * kThreads;
  for (I i = static_cast<I>(blockIdx.x) * kThreads + threadIdx.x; i < words; i += threads) {
    const Offsets at = offsets_of(axes, axes.rank, i);
    store_pack<1>(y + at.b, load_pack<1>(x + at.a));
  }
}

// The last axis is y's contiguous one, the one before it x's. A row of a tile is padded by an element of 4
// bytes, so that its columns lie in different banks.
template <class T, class I>
__global__ void __launch_bounds__(kThreads) copy_tiles(const T* x, T* y, cpu::Axes axes, I tiles) {
  constexpr int kRow = kTile + 4 / static_cast<int>(sizeof(T));
  BP_SHARED(T, tile, kTile * kRow);
  const int last = axes.rank - 1, lane = static_cast<int>(threadIdx.x % kTile),
            warp = static_cast<int>(threadIdx.x / kTile);
  const i64 rows = axes.dims[last - 1], cols = axes.dims[last];
  const I across = static_cast<I>((cols + kTile - 1) / kTile),
          down = static_cast<I>((rows + kTile - 1) / kTile);
  for (I i = blockIdx.x; i < tiles; i += gridDim.x) {
    const I band = i / across, outer = band / down;
    const i64 row = static_cast<i64>(band - outer * down) * kTile,
              col = static_cast<i64>(i - band * across) * kTile;
    const Offsets at = offsets_of(axes, last - 1, outer);
    const T* from = x + at.a + row * axes.a[last - 1] + col * axes.a[last];
    T* to = y + at.b + row * axes.b[last - 1] + col * axes.b[last];
    __syncthreads();  // the last tile has been read
#pragma unroll
    for (int c = warp; c < kTile; c += kThreads / kTile)
      if (col + c < cols && row + lane < rows)
        tile[lane * kRow + c] = from[lane * axes.a[last - 1] + c * axes.a[last]];
    __syncthreads();
#pragma unroll
    for (int r = warp; r < kTile; r += kThreads / kTile)
      if (row + r < rows && col + lane < cols)
        to[r * axes.b[last - 1] + lane * axes.b[last]] = tile[r * kRow + lane];
  }
}

// Axis `axis` becomes the last but `from_end`, the order of the others stays.
void move_axis(cpu::Axes& m, int axis, int from_end) {
  for (int i = axis; i < m.rank - 1 - from_end; ++i) {
    std::swap(m.dims[i], m.dims[i + 1]);
    std::swap(m.a[i], m.a[i + 1]);
    std::swap(m.b[i], m.b[i + 1]);
  }
}

int axis_of_stride_1(const cpu::Axes& m, const i64* strides) {
  for (int i = m.rank - 1; i >= 0; --i)
    if (strides[i] == 1) return i;
  return m.rank - 1;
}

// How many elements along the last axis can be moved as one word.
int join(const cpu::Axes& m, const StridedCopy& p) {
  const int last = m.rank - 1;
  if (m.a[last] != 1 || m.b[last] != 1) return 1;
  const auto whole = [&](int k) {
    const auto bytes = static_cast<std::uintptr_t>(k * p.size);
    bool is = m.dims[last] % k == 0 && reinterpret_cast<std::uintptr_t>(p.x) % bytes == 0 &&
              reinterpret_cast<std::uintptr_t>(p.y) % bytes == 0;
    for (int i = 0; i < last; ++i) is &= m.a[i] % k == 0 && m.b[i] % k == 0;
    return is;
  };
  int k = 16 / p.size;
  while (!whole(k)) k /= 2;
  return k;
}

template <class Word>
void run_words(const StridedCopy& p, const cpu::Axes& m) {
  const i64 words = cpu::numel(m.rank, m.dims);
  with_index(words, [&](auto zero) {
    launch(copy_words<Word, decltype(zero)>, grid_for(words, kThreads, 8 * multiprocessors()), kThreads, 0,
           static_cast<const Word*>(p.x), static_cast<Word*>(p.y), m, words);
  });
}

template <class T>
void run_tiles(const StridedCopy& p, const cpu::Axes& m) {
  const int last = m.rank - 1;
  const i64 tiles =
      cpu::numel(last - 1, m.dims) * ceil_div(m.dims[last - 1], kTile) * ceil_div(m.dims[last], kTile);
  with_index(tiles, [&](auto zero) {
    launch(copy_tiles<T, decltype(zero)>, grid_for(tiles, 1, 8 * multiprocessors()), kThreads, 0,
           static_cast<const T*>(p.x), static_cast<T*>(p.y), m, tiles);
  });
}

}  // namespace

void strided_copy(const StridedCopy& p) {
  cpu::Axes m = cpu::merge_axes(p.rank, p.dims, p.xs, p.ys);
  if (cpu::numel(m.rank, m.dims) == 0) return;
  const int along_x = axis_of_stride_1(m, m.a), along_y = axis_of_stride_1(m, m.b);
  move_axis(m, along_y, 0);
  if (along_x != along_y) {
    move_axis(m, along_x > along_y ? along_x - 1 : along_x, 1);
    return p.size == 1   ? run_tiles<u8>(p, m)
           : p.size == 2 ? run_tiles<std::uint16_t>(p, m)
                         : run_tiles<std::uint32_t>(p, m);
  }
  const int k = join(m, p), last = m.rank - 1;
  m.dims[last] /= k;
  for (int i = 0; i < last; ++i) {
    m.a[i] /= k;
    m.b[i] /= k;
  }
  switch (k * p.size) {
    case 1:
      return run_words<u8>(p, m);
    case 2:
      return run_words<std::uint16_t>(p, m);
    case 4:
      return run_words<unsigned>(p, m);
    case 8:
      return run_words<uint2>(p, m);
    default:
      return run_words<uint4>(p, m);
  }
}

}  // namespace bp::cuda
