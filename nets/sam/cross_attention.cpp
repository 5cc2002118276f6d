#include "nets/sam/cross_attention.h"

#include <cmath>

#include "engine/trace.h"

namespace bp::sam {
namespace {

constexpr i64 kHeads = 8;

// 1 where a channel belongs to the head, else 0: [8,1,inner].
Tensor heads_of(const Tensor& x) {
  const i64 inner = x.dim(-1), width = inner / kHeads;
  std::vector<float> mask(static_cast<std::size_t>(kHeads * inner), 0.0f);
  for (i64 c = 0; c < inner; ++c) mask[static_cast<std::size_t>(c / width * inner + c)] = 1;
  return from_values({kHeads, 1, inner}, mask, x.dtype(), x.device());
}

// x [1,T,inner] once per head, the other heads' channels zero -> [8 T,inner]: one product with these rows is
// the product of every head.
Tensor spread_heads(const Tensor& x) {
  return mul(x, heads_of(x)).reshape({-1, x.dim(2)});
}

// The other way: of rows [8 T,inner] each head's own channels -> [1,T,inner].
Tensor gather_heads(const Tensor& x) {
  const i64 inner = x.dim(1), tokens = x.dim(0) / kHeads;
  return sum_to(mul(x.reshape({kHeads, tokens, inner}), heads_of(x)), {1, tokens, inner});
}

Tensor matrix(const Tensor& x) {
  return x.reshape({x.rows(), x.dim(-1)});
}

}  // namespace

Tensor CrossAttention::operator()(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                  const Tensor& residual) const {
  const i64 nq = queries.dim(1), nk = keys.dim(1), inner = q.out;
  // A projection takes 256 inner multiply-adds per position of the image. Where all heads of all tokens are
  // fewer rows than that has, the tokens' side takes the weights instead. Not under a trace, which counts the
  // published order, nor for many prompts on one image, which share its projections.
  const bool alone = queries.dim(0) == 1 && keys.dim(0) == 1,
             cpu = queries.device().type == Device::Type::cpu;
  if (alone && cpu && !tracing() && !tracks_grad({queries, keys, values, q.weight})) {
    if (nq < nk && kHeads * nq < inner) return few_queries(queries, keys, values, residual);
    if (nk < nq && kHeads * nk < inner) return few_keys(queries, keys, values, residual);
  }
  const Tensor attended = attention(q(queries), k(keys), v(values), kHeads, scale());
  if (residual && residual.dim(0) != attended.dim(0)) return add(out(attended), residual);
  return out(attended, Act::none, residual);
}

// Per head, q (K Wk^T + bk)^T = (q Wk) K^T + q bk, whose last term is the same for all keys and cancels in
// the softmax; and A (V Wv^T + bv) = (A V) Wv^T + bv, since the rows of A add up to 1.
Tensor CrossAttention::few_queries(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                   const Tensor& residual) const {
  const Tensor asked = affine(matmul(spread_heads(q(queries)), k.weight), scale(), 0);
  const Tensor weights = softmax(permute(linear(matrix(keys), asked), {1, 0}));
  const Tensor attended = linear(matmul(weights, matrix(values)), v.weight);
  return out(add(gather_heads(attended), v.bias), Act::none, residual);
}

// Per head, (Q Wq^T + bq) k^T = Q (k Wq)^T + bq k^T and (A v) Wo^T = A (v Wo^T), added up over the heads.
Tensor CrossAttention::few_keys(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                const Tensor& residual) const {
  const i64 positions = queries.dim(1), tokens = keys.dim(1);
  const Tensor k_heads = affine(spread_heads(k(keys)), scale(), 0), v_heads = spread_heads(v(values));
  const Tensor asked = matmul(k_heads, q.weight);                    // [8 T,256]
  const Tensor shift = matmul(k_heads, q.bias.reshape({q.out, 1}));  // [8 T,1]
  const Tensor scores = linear(queries, asked, shift.reshape({kHeads * tokens}));
  const Tensor weights = softmax(scores.reshape({positions * kHeads, tokens}));
  const Tensor written = matmul(out.weight, v_heads, false, true);  // [256,8 T]
  return linear(weights.reshape({1, positions, kHeads * tokens}), written, out.bias, Act::none, residual);
}

float CrossAttention::scale() const {
  return 1.0f / std::sqrt(static_cast<float>(q.out / kHeads));
}

void CrossAttention::collect(Params& params, const std::string& prefix) {
  q.collect(params, prefix + ".q_proj");
  k.collect(params, prefix + ".k_proj");
  v.collect(params, prefix + ".v_proj");
  out.collect(params, prefix + ".out_proj");
}

}  // namespace bp::sam
