// What every rung of this ladder is about: one head of one window of one image, called a unit, counted as the
// rows of lse are. Windows cover the grid from its top left corner; where one sticks out at the right or at
// the bottom, its tokens take their rows from `pad` and have no output.
#pragma once
#include "kernels/ladders/cuda/attention.h"
#include "kernels/ladders/cuda/window_attention/rungs.h"

namespace bp::cuda::windowed {

template <class T>
struct Windows {
  const T *qkv, *pad, *rel_h, *rel_w, *bias;
  T* y;
  float* lse;
  i64 units, heads, row_step, head_step, part_step;
  int h, w, win_h, win_w, down, across, tokens, d;  // `down` x `across` windows of `tokens`
  float scale2;                                     // of q.k, times log2(e)

  explicit Windows(const WindowAttention& a)
      : qkv(static_cast<const T*>(a.qkv)),
        pad(static_cast<const T*>(a.pad)),
        rel_h(static_cast<const T*>(a.rel_h)),
        rel_w(static_cast<const T*>(a.rel_w)),
        bias(static_cast<const T*>(a.bias)),
        y(static_cast<T*>(a.y)),
        lse(a.lse),
        units(a.batch * ceil_div(a.h, a.win_h) * ceil_div(a.w, a.win_w) * a.heads),
        heads(a.heads),
        row_step(3 * a.heads * a.d),
        head_step(a.per_head ? 3 * a.d : a.d),
        part_step(a.per_head ? a.d : a.heads * a.d),
        h(static_cast<int>(a.h)),
        w(static_cast<int>(a.w)),
        win_h(static_cast<int>(a.win_h)),
        win_w(static_cast<int>(a.win_w)),
        down(static_cast<int>(ceil_div(a.h, a.win_h))),
        across(static_cast<int>(ceil_div(a.w, a.win_w))),
        tokens(static_cast<int>(a.win_h * a.win_w)),
        d(static_cast<int>(a.d)),
        scale2(a.scale * kLog2E) {}

  // The index of token t of a unit in the batch's grid, or -1 where it sticks out.
  __device__ __forceinline__ i64 index(i64 unit, int t) const {
    const i64 windows = unit / heads, image = windows / (down * across);
    const int window = static_cast<int>(windows % (down * across)),
              y_at = window / across * win_h + t / win_w, x_at = window % across * win_w + t % win_w;
    return y_at < h && x_at < w ? (image * h + y_at) * w + x_at : -1;
  }
  // The row of token t among queries (part 0), keys (1) or values (2).
  __device__ __forceinline__ const T* row(i64 unit, int part, int t) const {
    const i64 at = index(unit, t);
    return (at < 0 ? pad : qkv + at * row_step) + unit % heads * head_step + part * part_step;
  }
  // Where the output of token t goes; null where it sticks out.
  __device__ __forceinline__ T* out(i64 unit, int t) const {
    const i64 at = index(unit, t);
    return at < 0 ? nullptr : y + (at * heads + unit % heads) * d;
  }
};

__device__ __forceinline__ int distance(int a, int b) {
  return a < b ? b - a : a - b;
}

}  // namespace bp::cuda::windowed
