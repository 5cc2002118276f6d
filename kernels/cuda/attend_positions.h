// What products of queries and keys start from, or are added to: the part of the logits that depends on where
// query and key are, divided by the scale, so that one factor does for both. A lane's rows are fixed, columns
// come in tiles; places[col] is Windows::place of a column's token.
#pragma once
#include "kernels/cuda/attend_units.h"

namespace bp::cuda {

template <Position kind, class F>
struct Positions;

template <class F>
struct Positions<Position::none, F> {
  template <class Source>
  __host__ __device__ static int floats(const Source&, int) {
    return 0;
  }
  template <class Source>
  __device__ __forceinline__ Positions(const Source&, i64, float*, int, int) {}
  __device__ __forceinline__ void start(F& s, int, const int*) const { clear(s); }
};

// TinyViT's table of a head, mirrored to both signs of dy and dx: then a pair of tokens finds its entry with
// one subtraction, and queries and keys may change roles.
template <class F>
struct Positions<Position::table, F> {
  const float* middle;
  int place[F::kRows];

  template <class Source>
  __host__ __device__ static int floats(const Source& source, int) {
    return (2 * source.win_h - 1) * (2 * source.win_w - 1);
  }
  // Of the rows from first_row + row(i) of the unit; the block needs a barrier before start().
  template <class Source>
  __device__ __forceinline__ Positions(const Source& source, i64 unit, float* memory, int first_row, int) {
    const int across = 2 * source.win_w - 1, size = floats(source, 0);
    const auto* const table =
        source.bias ? source.bias + unit % source.heads * source.win_h * source.win_w : nullptr;
    const float inverse = 1 / source.scale;
    for (int i = static_cast<int>(threadIdx.x); i < size; i += kTileThreads) {
      const int dy = i / across - (source.win_h - 1), dx = i % across - (source.win_w - 1),
                at = (dy < 0 ? -dy : dy) * source.win_w + (dx < 0 ? -dx : dx);
      memory[i] = table ? load_f32(table[at]) * inverse : 0.0f;
    }
    middle = memory + size / 2;
#pragma unroll
    for (int i = 0; i < F::kRows; ++i) {
      const int t = first_row + F::row(i);
      place[i] = source.place(t < source.queries ? t : source.queries - 1);
    }
  }
  __device__ __forceinline__ void start(F& s, int, const int* places) const {
#pragma unroll
    for (int j = 0; j < F::kCols; ++j) {
      const int other = places[F::col(j)];
#pragma unroll
      for (int i = 0; i < F::kRows; ++i) s.at(i, j) = middle[place[i] - other];
    }
  }
};

// SAM's decomposed relative positions of a block's queries: for each of them the products with the rows of
// rel_h and rel_w that belong to its window, [win_h][queries of the block] and [queries of the block][ld].
template <class F>
struct Positions<Position::relative, F> {
  float *by_row, *by_col;  // at this warp's first query
  int rows, ld, win_h, win_w;
  int y[F::kRows], x[F::kRows];

  // So that the columns of eight following queries lie in different banks.
  __host__ __device__ static int stride(int win_w) { return (win_w + 31) / 32 * 32 + 8; }
  template <class Source>
  static int floats(const Source& source, int block_rows) {
    return block_rows * (source.win_h + stride(source.win_w));
  }
  template <class Source>
  __device__ __forceinline__ Positions(const Source& source, i64, float* memory, int first_row,
                                       int block_rows)
      : rows(block_rows), ld(stride(source.win_w)), win_h(source.win_h), win_w(source.win_w) {
    const int warp_row = warp_id() * (block_rows / kTileWarps);
    by_row = memory + warp_row;
    by_col = memory + win_h * rows + warp_row * ld;
#pragma unroll
    for (int i = 0; i < F::kRows; ++i) {
      const int t = first_row + F::row(i), inside = t < source.queries ? t : source.queries - 1;
      y[i] = inside / win_w;
      x[i] = inside % win_w;
    }
  }

  // The products with all rows of a table, of which every query keeps its own window. `tile` is shared memory
  // for N rows, free before and after.
  template <int N, class Source, class Left, class T>
  __device__ __forceinline__ void fill(const Source& source, const Left& queries, T* tile) {
    const float inverse = 1 / source.scale;
#pragma unroll
    for (int axis = 0; axis < 2; ++axis) {
      const int side = axis ? win_w : win_h, count = 2 * side - 1;
      const T* const table = axis ? source.rel_w : source.rel_h;
      for (int first = 0; first < count; first += N) {
        fetch_rows<1, N, Left::kSize>(tile, source.d, source.packed, table, [&](int r) {
          return RowsOf<T, 1>{{first + r < count ? table + (first + r) * source.d : nullptr}};
        });
        commit_copies();
        wait_copies<0>();
        __syncthreads();
        F g;
        clear(g);
        add_scores(g, queries, tile);
#pragma unroll
        for (int j = 0; j < F::kCols; ++j)
#pragma unroll
          for (int i = 0; i < F::kRows; ++i) {
            const int at = (axis ? x[i] : y[i]) + side - 1 - first - F::col(j);
            if (at < 0 || at >= side) continue;
            (axis ? by_col[F::row(i) * ld + at] : by_row[at * rows + F::row(i)]) = g.at(i, j) * inverse;
          }
        __syncthreads();
      }
    }
  }

  __device__ __forceinline__ void start(F& s, int first_col, const int* places) const {
    if (win_w % F::kWidth == 0) {  // all keys of the tile are in one row of the window
      const int key_y = first_col / win_w, key_x = first_col - key_y * win_w;
#pragma unroll
      for (int i = 0; i < F::kRows; ++i) {
        const float of_row = by_row[key_y * rows + F::row(i)];
        const float* const of_col = by_col + F::row(i) * ld + key_x;
#pragma unroll
        for (int j = 0; j < F::kCols; ++j)
          if constexpr (!F::kPaired) {
            s.at(i, j) = of_row + of_col[F::col(j)];
          } else if (j % 2 == 0) {
            const Pack<float, 2> two = load_pack<2>(of_col + F::col(j));
            s.at(i, j) = of_row + two.v[0];
            s.at(i, j + 1) = of_row + two.v[1];
          }
      }
      return;
    }
#pragma unroll
    for (int j = 0; j < F::kCols; ++j) {
      const int place = places[F::col(j)], key_y = place & 0xffff, key_x = place >> 16;
#pragma unroll
      for (int i = 0; i < F::kRows; ++i)
        s.at(i, j) = by_row[key_y * rows + F::row(i)] + by_col[F::row(i) * ld + key_x];
    }
  }
};

// One tile of logits, divided by the scale: of a warp's rows `left` and the columns from first_col, which
// stand in `tile`. In f32 the products are summed before they meet the position: a sum that begins with a
// larger number loses more in rounding. In bf16 that is far below what the operands have lost.
template <class S, class Left, class T, Position kind>
__device__ __forceinline__ void set_logits(S& s, const Positions<kind, S>& positions, int first_col,
                                           const int* places, const Left& left, const T* tile) {
  if constexpr (std::is_same_v<T, float> && kind != Position::none) {
    S products;
    clear(products);
    add_scores(products, left, tile);
    positions.start(s, first_col, places);
#pragma unroll
    for (int i = 0; i < S::kRows; ++i)
#pragma unroll
      for (int j = 0; j < S::kCols; ++j) s.at(i, j) += products.at(i, j);
  } else {
    positions.start(s, first_col, places);
    add_scores(s, left, tile);
  }
}

}  // namespace bp::cuda
