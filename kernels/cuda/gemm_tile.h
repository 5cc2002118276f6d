// Tiles of a matrix product's operands in shared memory. An operand is a matrix over (span, depth), depth
// being the dimension that is summed over; stored so that depth is the inner dimension (rows of a span), or
// span is (rows of a depth). A tile keeps the order of the matrix, in chunks of 16 bytes whose place within a
// row is exchanged so that neither copies nor ldmatrix nor the reads of gemm_f32.h conflict in a bank.
#pragma once
#include "kernels/cuda/tile.h"

namespace bp::cuda {

template <class T, int Span, int Depth, bool DepthInner>
struct TileShape {
  static constexpr int kChunk = kPackOf<T>;  // elements of 16 bytes
  static constexpr int kRows = DepthInner ? Span : Depth;
  static constexpr int kPerRow = (DepthInner ? Depth : Span) / kChunk;
  static constexpr int kSize = Span * Depth;
  static_assert(kPerRow == 4 || kPerRow % 8 == 0);

  // Where a chunk lies: a line of 128 bytes holds two rows of four chunks, or part of one row.
  __device__ __forceinline__ static int at(int row, int chunk) {
    const int exchange = kPerRow == 4 ? row >> 1 & 3 : row & 7;
    return (row * kPerRow + (chunk ^ exchange)) * kChunk;
  }
};

// What one thread of a block copies of every tile along the depth.
template <class T, int Span, int Depth, bool DepthInner, int Threads>
class TileLoader {
  using Shape = TileShape<T, Span, Depth, DepthInner>;
  static constexpr int kRowsApart = Threads / Shape::kPerRow, kEach = Shape::kRows / kRowsApart;
  static_assert(Threads % Shape::kPerRow == 0 && Shape::kRows % kRowsApart == 0);

 public:
  // The tile that begins at (span, depth) of a matrix of `spans`; packed: every chunk of the matrix is
  // aligned and lies wholly in or outside of it.
  __device__ __forceinline__ TileLoader(const T* matrix, i64 ld, i64 span, i64 spans, i64 depth, bool packed)
      : ld_(ld),
        row_(static_cast<int>(threadIdx.x) / Shape::kPerRow),
        chunk_(static_cast<int>(threadIdx.x) % Shape::kPerRow),
        span_left_(static_cast<int>(spans - span < Span ? spans - span : Span)),
        packed_(packed) {
    from_ = matrix + (DepthInner ? (span + row_) * ld + depth : (depth + row_) * ld + span) +
            chunk_ * Shape::kChunk;
  }

  // Starts the copy of the next tile, of which `depth_left` > 0 are inside; the rest becomes zeros.
  __device__ __forceinline__ void next(T* tile, i64 depth_left) {
    const int depth = static_cast<int>(depth_left < Depth ? depth_left : Depth);
    const int rows = DepthInner ? span_left_ : depth;
    const int columns = (DepthInner ? depth : span_left_) - chunk_ * Shape::kChunk;  // from this chunk on
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int row = row_ + i * kRowsApart;
      const int inside = row < rows ? columns : 0;
      const T* from = from_ + i * kRowsApart * ld_;
      T* to = tile + Shape::at(row, chunk_);
      if (packed_)
        copy_async16(to, inside > 0 ? from : from_, inside > 0);
      else
        copy_elements(to, from, inside);
    }
    from_ += DepthInner ? Depth : Depth * ld_;
  }

 private:
  __device__ __forceinline__ static void copy_elements(T* to, const T* from, int inside) {
    Pack<T, Shape::kChunk> chunk{};
#pragma unroll
    for (int e = 0; e < Shape::kChunk; ++e)
      if (e < inside) chunk.v[e] = from[e];
    store_pack<Shape::kChunk>(to, chunk);
  }

  const T* from_;
  i64 ld_;
  int row_, chunk_, span_left_;
  bool packed_;
};

}  // namespace bp::cuda
