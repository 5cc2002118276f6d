// Gradients of attention. Units are (batch, head), each one task. Scratch slot: 5 (buffers of a unit).
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/attention_backward.h"

template <class T>
static void run(const k::AttentionBackward& args) {
  const k::Attention& p = args.forward;
  const i64 channels = p.heads * p.d;
  parallel_for(p.batch * p.heads, 1, [&](i64 first, i64 last) {
    for (i64 u = first; u < last; ++u) {
      const i64 b = u / p.heads, offset = u % p.heads * p.d;
      const BackwardBuffers m(scratch<float>(5, BackwardBuffers::size(p.nq, p.nk, p.d)), p.nq, p.nk, p.d);
      const auto at = [&](const void* base, i64 batch, i64 row, i64 t) {
        return static_cast<const T*>(base) + b * batch + t * row + offset;
      };
      for (i64 t = 0; t < p.nq; ++t) {
        load_row(m.q + t * p.d, at(p.q, p.q_batch, p.q_row, t), p.d);
        load_row(m.dout + t * p.d, at(args.dout, p.nq * channels, channels, t), p.d);
      }
      for (i64 t = 0; t < p.nk; ++t) {
        load_row(m.k + t * p.d, at(p.k, p.k_batch, p.k_row, t), p.d);
        load_row(m.v + t * p.d, at(p.v, p.v_batch, p.v_row, t), p.d);
      }
      attend_backward({p.nq, p.nk, p.d, p.scale, m.q, m.k, m.v, m.dout, p.lse + u * p.nq, nullptr, m.dq, m.dk,
                       m.dv, m.p, m.dl},
                      [](int) {});
      const auto write = [&](void* base, i64 tokens, const float* from) {
        for (i64 t = 0; t < tokens; ++t)
          store_row(static_cast<T*>(base) + (b * tokens + t) * channels + offset, from + t * p.d, p.d);
      };
      write(args.dq, p.nq, m.dq);
      write(args.dk, p.nk, m.dk);
      write(args.dv, p.nk, m.dv);
    }
  });
}

void attention_backward(const k::AttentionBackward& p) {
  if (p.forward.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
