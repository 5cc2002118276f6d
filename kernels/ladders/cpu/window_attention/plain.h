// Attention inside one window by its definition, which the rungs before the vectors share.
#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/windows.h"

namespace bp::cpu::ladder {
namespace {

// row(t, 0), row(t, 1) and row(t, 2) point to q, k and v of token t; output(t) to where its result goes, or
// null; write_lse(t, lse). Takes scratch slot 4.
template <class T, class Row, class Output, class WriteLse>
void attend_window(const k::WindowAttention& p, i64 head, const Row& row, const Output& output,
                   const WriteLse& write_lse) {
  const i64 tokens = p.win_h * p.win_w;
  float* const logits = scratch<float>(4, tokens + p.win_h + p.win_w + p.d);
  float* const terms = logits + tokens;
  float* const sums = terms + p.win_h + p.win_w;
  for (i64 q = 0; q < tokens; ++q) {
    if (p.rel_h) relative_terms(p, row(q, 0), q, terms);
    for (i64 key = 0; key < tokens; ++key) {
      logits[key] = p.scale * dot(row(q, 0), row(key, 1), p.d);
      if (p.rel_h) logits[key] += terms[key / p.win_w] + terms[p.win_h + key % p.win_w];
      if (p.bias) logits[key] += table_bias<T>(p, head, q, key);
    }
    const float top = *std::max_element(logits, logits + tokens);
    float sum = 0;
    for (i64 key = 0; key < tokens; ++key) sum += logits[key] = std::exp(logits[key] - top);
    write_lse(q, top + std::log(sum));
    T* const to = output(q);
    if (!to) continue;
    std::fill(sums, sums + p.d, 0.0f);
    for (i64 key = 0; key < tokens; ++key) {
      const T* const v = row(key, 2);
      for (i64 e = 0; e < p.d; ++e) sums[e] += logits[key] * to_f32(v[e]);
    }
    for (i64 e = 0; e < p.d; ++e) to[e] = from_f32<T>(sums[e] / sum);
  }
}

}  // namespace
}  // namespace bp::cpu::ladder
