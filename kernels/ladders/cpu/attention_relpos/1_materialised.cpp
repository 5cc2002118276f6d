// 1. As it is written in papers: a matrix of logits in memory, the softmax of its rows, its product with V.
//
// One head at a time, or the matrices of SAM-B's 12 heads at 4096 tokens would be 0.8 GB; one is 67 MB. It is
// written, read and written by the softmax, and read by the second product: 4 x 67 MB a head, 3.2 GB in all,
// where q, k, v and the output are 50 MB. On one thread, additions one after another.
#include <algorithm>
#include <cmath>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/attention_relpos/rungs.h"
#include "kernels/ladders/cpu/windows.h"

namespace bp::cpu::ladder {
namespace {

// Turns a row of logits into probabilities; returns the log of the sum.
float softmax(float* row, i64 n) {
  const float top = *std::max_element(row, row + n);
  float sum = 0;
  for (i64 j = 0; j < n; ++j) sum += row[j] = std::exp(row[j] - top);
  for (i64 j = 0; j < n; ++j) row[j] /= sum;
  return top + std::log(sum);
}

template <class T>
void attend(const k::WindowAttention& p) {
  const Windows<T> grid(p);
  const i64 tokens = grid.tokens, width = p.win_h + p.win_w;
  float* const terms = scratch<float>(0, tokens * width);
  float* const logits = scratch<float>(1, tokens * tokens);
  float* const sums = scratch<float>(2, p.d);
  for (i64 u = 0; u < Unit<T>::count(grid); ++u) {
    const Unit unit(grid, u);
    relpos_terms(p, u, 0, tokens, terms);
    for (i64 q = 0; q < tokens; ++q)
      for (i64 key = 0; key < tokens; ++key)
        logits[q * tokens + key] = p.scale * dot(unit.row(q, 0), unit.row(key, 1), p.d) +
                                   terms[q * width + key / p.win_w] +
                                   terms[q * width + p.win_h + key % p.win_w];
    for (i64 q = 0; q < tokens; ++q) unit.write_lse(q, softmax(logits + q * tokens, tokens));
    for (i64 q = 0; q < tokens; ++q) {
      std::fill(sums, sums + p.d, 0.0f);
      for (i64 key = 0; key < tokens; ++key) {
        const T* const v = unit.row(key, 2);
        for (i64 e = 0; e < p.d; ++e) sums[e] += logits[q * tokens + key] * to_f32(v[e]);
      }
      T* const to = unit.output(q);
      for (i64 e = 0; e < p.d; ++e) to[e] = from_f32<T>(sums[e]);
    }
  }
}

}  // namespace

void relpos_materialised(const k::WindowAttention& p) {
  p.dtype == DType::bf16 ? attend<bf16>(p) : attend<float>(p);
}

}  // namespace bp::cpu::ladder
