// A list of tensors, in host memory, cut into pieces of one size for blocks. The list travels in kernel
// arguments, in groups that fit there: nothing is copied to the device first, and a graph keeps it.
#pragma once
#include "kernels/cuda/elementwise.h"

namespace bp::cuda {

constexpr i64 kPiece = 8192;

template <class Item>
struct Group {
  static constexpr int kMost = (4096 - 256) / static_cast<int>(sizeof(Item) + sizeof(int));
  Item items[kMost];
  int first[kMost + 1];  // the number of the first piece of each item, and of all pieces at its end
  int count;
};

// f(group, number of its first item, number of its pieces) for all groups.
template <class Item, class F>
void each_group(const Item* items, i64 count, const F& f) {
  for (i64 from = 0; from < count; from += Group<Item>::kMost) {
    Group<Item> group{};
    group.count = static_cast<int>(std::min<i64>(Group<Item>::kMost, count - from));
    for (int i = 0; i < group.count; ++i) {
      group.items[i] = items[from + i];
      group.first[i + 1] = group.first[i] + static_cast<int>(ceil_div(items[from + i].n, kPiece));
    }
    f(group, from, static_cast<unsigned>(group.first[group.count]));
  }
}

struct Piece {  // elements [begin, end) of an item
  int item;
  i64 begin, end;
};
template <class Item>
__device__ __forceinline__ Piece piece_of(const Group<Item>& group, int number) {
  int low = 0, high = group.count;  // the last item whose first piece is at or before this one
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (group.first[middle] <= number ? low : high) = middle;
  }
  const i64 begin = (number - group.first[low]) * kPiece;
  return {low, begin, std::min(begin + kPiece, group.items[low].n)};
}

// f.at<N>(i) for packs from begin to end, and f.at<1>(i) for what is left; begin is a multiple of N.
template <int N, class F>
__device__ __forceinline__ void each_of_piece(const Piece& piece, F& f) {
  const i64 whole = piece.begin + (piece.end - piece.begin) / N * N, thread = threadIdx.x;
  for (i64 i = piece.begin + thread * N; i < whole; i += kThreads * N) f.template at<N>(i);
  if constexpr (N > 1)
    if (whole + thread < piece.end) f.template at<1>(whole + thread);
}

}  // namespace bp::cuda
