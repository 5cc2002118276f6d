#include "engine/ops/common.h"

namespace bp {

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, i64 heads, float scale) {
  require_alike("attention", {q, k, v});
  const bool fits = q.defined() && k.defined() && v.defined() && q.rank() == 3 && k.rank() == 3 &&
                    k.shape() == v.shape() && q.dim(2) == k.dim(2) &&
                    (q.dim(0) == k.dim(0) || q.dim(0) == 1 || k.dim(0) == 1);
  require(fits, "attention: q ", shape_text(q), ", k ", shape_text(k), ", v ", shape_text(v));
  const i64 batch = q.dim(0) == 1 ? k.dim(0) : q.dim(0), nq = q.dim(1), nk = k.dim(1), c = q.dim(2);
  require(heads >= 1 && c >= heads && c % heads == 0, "attention: ", heads, " heads for ", c, " channels");
  require(nk >= 1, "attention: no keys in ", k.shape());

  const bool track = tracks_grad({q, k, v});
  if (q.dim(0) != k.dim(0)) require_no_grad("attention", {q, k, v});
  const i64 q_batch = q.dim(0) == batch ? nq * c : 0, k_batch = k.dim(0) == batch ? nk * c : 0;
  Tensor o = empty({batch, nq, c}, q.dtype(), q.device()),
         lse = track ? empty({batch, heads, nq}, DType::f32, q.device()) : Tensor{};
  const k::Attention forward{q.raw(), k.raw(), v.raw(), o.raw(),   floats(lse), batch,
                             heads,   nq,      nk,      c / heads, c,           c,
                             c,       q_batch, k_batch, k_batch,   scale,       q.dtype()};
  kernels(q).attention(forward);
  trace("attention", o, 2 * o.numel() * nk, {});
  if (track)
    record(
        o, {q, k, v},
        [forward, lse, q = q.detach(), k = k.detach(), v = v.detach(), o = o.detach()](const Tensor& dout) {
          const Tensor dq = empty_like(q), dk = empty_like(k), dv = empty_like(v);
          kernels(dout).attention_backward({forward, dout.raw(), dq.raw(), dk.raw(), dv.raw()});
          return Gradients{dq, dk, dv};
        });
  return o;
}

}  // namespace bp
