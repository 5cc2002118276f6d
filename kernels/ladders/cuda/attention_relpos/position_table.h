// The relative positions' part of the logits as a table in memory, [units, h + w, tokens] in f32: entry
// [u, ky, q] is what query q adds for keys in row ky of the grid, [u, h + kx, q] for keys in column kx, times
// log2(e). It is h + w numbers a query instead of h * w, and neighbouring queries are neighbours in memory.
#pragma once
#include "kernels/ladders/cuda/attention_relpos/grid.h"

namespace bp::cuda::relpos {

constexpr int kTableThreads = 128;

template <class T>
__global__ void position_table(const Grid<T> a, float* table) {
  const i64 i = static_cast<i64>(blockIdx.x) * kTableThreads + threadIdx.x;
  const int t = static_cast<int>(i % a.tokens), key = static_cast<int>(i / a.tokens % (a.h + a.w));
  const i64 unit = i / a.tokens / (a.h + a.w);
  if (unit >= a.units) return;
  const T* const q = a.row(unit, 0, t);
  const T* const rel = key < a.h ? a.rel_h + (t / a.w - key + a.h - 1) * a.d
                                 : a.rel_w + (t % a.w - (key - a.h) + a.w - 1) * a.d;
  float sum = 0.0f;
  for (int c = 0; c < a.d; ++c) sum += load_f32(q[c]) * load_f32(rel[c]);
  table[i] = sum * kLog2E;
}

template <class T>
float* make_position_table(const Grid<T>& a, int slot) {
  const i64 size = a.units * (a.h + a.w) * a.tokens;
  auto* const table = workspace<float>(slot, size);
  launch(position_table<T>, dim3(static_cast<unsigned>(ceil_div(size, kTableThreads))), dim3(kTableThreads),
         0, a, table);
  return table;
}

}  // namespace bp::cuda::relpos
