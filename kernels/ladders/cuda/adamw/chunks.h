// Many tensors in one launch: a table of them in the kernel's arguments, and a block per chunk.
#pragma once
#include <type_traits>

#include "kernels/ladders/cuda/adamw/step.h"

namespace bp::cuda::memory_ladder {

constexpr int kChunkThreads = 256;

template <int Tensors, int Chunk>
struct Table {
  static constexpr int kChunk = Chunk;  // elements, a multiple of 4
  Item items[Tensors];
  int first[Tensors + 1];  // the number of each tensor's first chunk, and of all chunks behind the last
  int count;
};

// f(table, number of its chunks) until all tensors have been in one.
template <class Table, class F>
void each_table(const AdamW& a, const F& f) {
  constexpr i64 kMost = std::extent_v<decltype(Table::items)>;
  for (i64 from = 0; from < a.count; from += kMost) {
    Table table{};
    table.count = static_cast<int>(std::min(kMost, a.count - from));
    for (int i = 0; i < table.count; ++i) {
      table.items[i] = a.items[from + i];
      table.first[i + 1] = table.first[i] + static_cast<int>(ceil_div(a.items[from + i].n, Table::kChunk));
    }
    if (const int chunks = table.first[table.count]; chunks > 0) f(table, static_cast<unsigned>(chunks));
  }
}

// The elements [begin, end) of a tensor that are this block's.
struct Chunk {
  int item;
  i64 begin, end;
};
template <class Table>
__device__ __forceinline__ Chunk chunk_of_block(const Table& table) {
  const int number = static_cast<int>(blockIdx.x);
  int low = 0, high = table.count;  // the tensor is in [low, high)
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (table.first[middle] <= number ? low : high) = middle;
  }
  const i64 begin = i64{number - table.first[low]} * Table::kChunk, end = begin + Table::kChunk;
  return {low, begin, end < table.items[low].n ? end : table.items[low].n};
}

// f(i, number of elements as a constant) for this thread's elements, in packs where the tensor allows.
template <class F>
__device__ __forceinline__ void each_of_chunk(const Item& t, const Chunk& chunk, const F& f) {
  const int thread = static_cast<int>(threadIdx.x);
  const i64 packed = in_packs(t) ? chunk.begin + (chunk.end - chunk.begin) / 4 * 4 : chunk.begin;
  for (i64 i = chunk.begin + thread * 4; i < packed; i += kChunkThreads * 4)
    f(i, std::integral_constant<int, 4>());
  for (i64 i = packed + thread; i < chunk.end; i += kChunkThreads) f(i, std::integral_constant<int, 1>());
}

}  // namespace bp::cuda::memory_ladder
