// What the rungs of both attention ladders share: where tokens lie, and what positions add to the logits.
#pragma once
#include <cstdlib>

#include "kernels/kernels.h"

namespace bp::cpu::ladder {
namespace {

#include "kernels/cpu/windows.h"

// One head of one window. Units are counted as the log-sums are stored, [batch][windows][heads].
template <class T>
struct Unit {
  const Windows<T>& windows;
  i64 u, image, wy, wx, head;

  Unit(const Windows<T>& all, i64 number)
      : windows(all),
        u(number),
        image(u / all.p.heads / (all.down * all.across)),
        wy(u / all.p.heads % (all.down * all.across) / all.across),
        wx(u / all.p.heads % all.across),
        head(u % all.p.heads) {}
  static i64 count(const Windows<T>& all) { return all.p.batch * all.down * all.across * all.p.heads; }

  // The d numbers of token t's q, k or v: part 0, 1 or 2.
  const T* row(i64 t, int part) const { return windows.row(windows.index(image, wy, wx, t), head, part); }
  // Where the result of token t goes; null where the window sticks out.
  T* output(i64 t) const {
    const i64 token = windows.index(image, wy, wx, t);
    return token < 0 ? nullptr : static_cast<T*>(windows.p.y) + token * windows.channels + head * windows.p.d;
  }
  void write_lse(i64 t, float lse) const {
    if (windows.p.lse) windows.p.lse[u * windows.tokens + t] = lse;
  }
};

// SAM's relative positions of one query at token t of its window: q . rel_h[qy - ky + win_h - 1] for every
// ky, then q . rel_w[qx - kx + win_w - 1] for every kx; the logit of key (ky, kx) gets one of each.
template <class T>
void relative_terms(const k::WindowAttention& p, const T* q, i64 t, float* terms) {
  const auto axis = [&](const void* table, i64 at, i64 side, float* to) {
    for (i64 key = 0; key < side; ++key) {
      const T* const row = static_cast<const T*>(table) + (at - key + side - 1) * p.d;
      float sum = 0;
      for (i64 e = 0; e < p.d; ++e) sum += to_f32(q[e]) * to_f32(row[e]);
      to[key] = sum;
    }
  };
  axis(p.rel_h, t / p.win_w, p.win_h, terms);
  axis(p.rel_w, t % p.win_w, p.win_w, terms + p.win_h);
}

// What TinyViT's table adds: bias[head, |qy - ky| * win_w + |qx - kx|].
template <class T>
float table_bias(const k::WindowAttention& p, i64 head, i64 query, i64 key) {
  const i64 dy = std::abs(query / p.win_w - key / p.win_w), dx = std::abs(query % p.win_w - key % p.win_w);
  return to_f32(static_cast<const T*>(p.bias)[(head * p.win_h + dy) * p.win_w + dx]);
}

template <class T>
float dot(const T* a, const T* b, i64 n) {
  float sum = 0;
  for (i64 i = 0; i < n; ++i) sum += to_f32(a[i]) * to_f32(b[i]);
  return sum;
}

}  // namespace
}  // namespace bp::cpu::ladder
