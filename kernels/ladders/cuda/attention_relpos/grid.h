// What every rung of this ladder is about: tokens of an h x w grid in qkv [batch,h*w,3*heads*d], and one head
// of one image, called a unit.
#pragma once
#include "kernels/ladders/cuda/attention.h"
#include "kernels/ladders/cuda/attention_relpos/rungs.h"

namespace bp::cuda::relpos {

template <class T>
struct Grid {
  const T *qkv, *rel_h, *rel_w;
  T* y;
  float* lse;
  i64 units, heads, row_step, head_step, part_step;
  int h, w, tokens, d;
  float scale2;  // of q.k

  explicit Grid(const WindowAttention& a)
      : qkv(static_cast<const T*>(a.qkv)),
        rel_h(static_cast<const T*>(a.rel_h)),
        rel_w(static_cast<const T*>(a.rel_w)),
        y(static_cast<T*>(a.y)),
        lse(a.lse),
        units(a.batch * a.heads),
        heads(a.heads),
        row_step(3 * a.heads * a.d),
        head_step(a.per_head ? 3 * a.d : a.d),
        part_step(a.per_head ? a.d : a.heads * a.d),
        h(static_cast<int>(a.h)),
        w(static_cast<int>(a.w)),
        tokens(static_cast<int>(a.h * a.w)),
        d(static_cast<int>(a.d)),
        scale2(a.scale * kLog2E) {}

  // The row of token t among queries (part 0), keys (1) or values (2).
  __device__ __forceinline__ const T* row(i64 unit, int part, int t) const {
    return qkv + (unit / heads * tokens + t) * row_step + unit % heads * head_step + part * part_step;
  }
  __device__ __forceinline__ T* out(i64 unit, int t) const {
    return y + ((unit / heads * tokens + t) * heads + unit % heads) * d;
  }
};

}  // namespace bp::cuda::relpos
