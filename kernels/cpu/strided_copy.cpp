// Permutes, slices, joins and repeats: rows where both sides are contiguous, tiles where they are so along
// different axes.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/axes.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kTile = 32;     // a tile of 32 x 32 elements of 4 bytes takes 4 KB on either side
constexpr i64 kWork = 65536;  // elements of one parallel range
constexpr i64 kShort = 8;     // elements: a shorter row is not worth a turn of its own

// Axis `axis` becomes the last but `from_end`, the order of the others stays.
void move_axis(Axes& m, int axis, int from_end) {
  for (int i = axis; i < m.rank - 1 - from_end; ++i) {
    std::swap(m.dims[i], m.dims[i + 1]);
    std::swap(m.a[i], m.a[i + 1]);
    std::swap(m.b[i], m.b[i + 1]);
  }
}

int axis_of_stride_1(const Axes& m, const i64* strides) {
  for (int i = m.rank - 1; i >= 0; --i)
    if (strides[i] == 1) return i;
  return m.rank - 1;
}

// The axis of at least kShort elements whose elements lie nearest to one another in y; else the last.
int longer_axis(const Axes& m) {
  int best = m.rank - 1;
  for (int i = m.rank - 1; i >= 0; --i)
    if (m.dims[i] >= kShort && (m.dims[best] < kShort || m.b[i] < m.b[best])) best = i;
  return best;
}

template <class T>
void copy_rows(const T* x, T* y, const Axes& m) {
  const int last = m.rank - 1;
  const i64 n = m.dims[last], xs = m.a[last], ys = m.b[last];
  const i64 piece = std::min(n, kWork), pieces = (n + piece - 1) / piece;
  const i64 rows = numel(last, m.dims);
  parallel_for(rows * pieces, std::max<i64>(1, kWork / piece), [&](i64 begin, i64 end) {
    Walk at(m, last, begin / pieces);
    for (i64 item = begin; item < end; ++item, at.next()) {  // pieces > 1: one item per range
      const i64 first = item % pieces * piece, count = std::min(piece, n - first);
      const T* from = x + at.a + first * xs;
      T* to = y + at.b + first * ys;
      if (xs == 1 && ys == 1) {
        std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
      } else {
        for (i64 i = 0; i < count; ++i) to[i * ys] = from[i * xs];
      }
    }
  });
}

// y[r yr + c yc] = x[r xr + c xc].
template <class T>
void copy_tile(const T* x, i64 xr, i64 xc, T* y, i64 yr, i64 yc, i64 rows, i64 cols) {
  for (i64 r = 0; r < rows; ++r)
    for (i64 c = 0; c < cols; ++c) y[r * yr + c * yc] = x[r * xr + c * xc];
}
// The same for xr = yc = 1, in squares that are transposed in registers.
void transpose_tile(const float* x, i64 xc, float* y, i64 yr, i64 rows, i64 cols) {
  for (i64 r = 0; r < rows; r += kLanes)
    for (i64 c = 0; c < cols; c += kLanes) {
      const i64 height = std::min<i64>(kLanes, rows - r), width = std::min<i64>(kLanes, cols - c);
      vi square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i)
        square[i] = i < width ? reinterpret_cast<vi>(load(x + r + (c + i) * xc, height)) : vi{};
      transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i)
        if (i < height) store(y + (r + i) * yr + c, reinterpret_cast<vf>(square[i]), width);
    }
}

// The last axis is y's contiguous one, the one before it x's.
template <class T>
void copy_tiles(const T* x, T* y, const Axes& m) {
  const int last = m.rank - 1;
  const i64 rows = m.dims[last - 1], cols = m.dims[last];
  const i64 xr = m.a[last - 1], xc = m.a[last], yr = m.b[last - 1], yc = m.b[last];
  const i64 row_tiles = (rows + kTile - 1) / kTile;
  parallel_for(numel(last - 1, m.dims) * row_tiles, std::max<i64>(1, kWork / (kTile * cols)),
               [&](i64 begin, i64 end) {
                 for (i64 item = begin; item < end; ++item) {
                   const Walk at(m, last - 1, item / row_tiles);
                   const i64 r0 = item % row_tiles * kTile, r1 = std::min(rows, r0 + kTile);
                   for (i64 c0 = 0; c0 < cols; c0 += kTile) {
                     const T* from = x + at.a + r0 * xr + c0 * xc;
                     T* to = y + at.b + r0 * yr + c0 * yc;
                     const i64 width = std::min(kTile, cols - c0);
                     if (sizeof(T) == sizeof(float) && xr == 1 && yc == 1)
                       transpose_tile(reinterpret_cast<const float*>(from), xc, reinterpret_cast<float*>(to),
                                      yr, r1 - r0, width);
                     else
                       copy_tile(from, xr, xc, to, yr, yc, r1 - r0, width);
                   }
                 }
               });
}

template <class T>
void run(const k::StridedCopy& p) {
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  Axes m = merge_axes(p.rank, p.dims, p.xs, p.ys);
  if (numel(m.rank, m.dims) == 0) return;
  const int along_x = axis_of_stride_1(m, m.a), along_y = axis_of_stride_1(m, m.b);
  move_axis(m, along_y, 0);
  if (along_x == along_y) {
    if (m.dims[m.rank - 1] < kShort) move_axis(m, longer_axis(m), 0);
    return copy_rows(x, y, m);
  }
  move_axis(m, along_x > along_y ? along_x - 1 : along_x, 1);
  copy_tiles(x, y, m);
}

}  // namespace

void strided_copy(const k::StridedCopy& p) {
  switch (p.size) {
    case 1:
      return run<std::uint8_t>(p);
    case 2:
      return run<std::uint16_t>(p);
    default:
      return run<std::uint32_t>(p);
  }
}
#include "kernels/cpu/isa_end.h"
