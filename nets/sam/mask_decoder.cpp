#include "nets/sam/mask_decoder.h"

#include <cmath>

namespace bp::sam {

Tensor CrossAttention::operator()(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                  const Tensor& residual) const {
  constexpr i64 heads = 8;
  const float scale = 1.0f / std::sqrt(static_cast<float>(q.out / heads));
  const Tensor attended = attention(q(queries), k(keys), v(values), heads, scale);
  if (residual && residual.dim(0) != attended.dim(0)) return add(out(attended), residual);
  return out(attended, Act::none, residual);
}

void CrossAttention::collect(Params& params, const std::string& prefix) {
  q.collect(params, prefix + ".q_proj");
  k.collect(params, prefix + ".k_proj");
  v.collect(params, prefix + ".v_proj");
  out.collect(params, prefix + ".out_proj");
}

void TwoWayBlock::operator()(Tensor& queries, Tensor& keys, const Tensor& query_pe,
                             const Tensor& key_pe) const {
  if (first) {
    queries = self_attn(queries, queries, queries, {});
  } else {
    const Tensor q = add(queries, query_pe);
    queries = self_attn(q, q, queries, queries);
  }
  queries = norm1(queries);

  const Tensor keys_at = add(keys, key_pe);
  queries = norm2(token_to_image(add(queries, query_pe), keys_at, keys, queries));
  queries = norm3(lin2(lin1(queries, Act::relu), Act::none, queries));
  keys = norm4(image_to_token(keys_at, add(queries, query_pe), queries, keys));
}

void TwoWayBlock::collect(Params& params, const std::string& prefix) {
  self_attn.collect(params, prefix + ".self_attn");
  norm1.collect(params, prefix + ".norm1");
  token_to_image.collect(params, prefix + ".cross_attn_token_to_image");
  norm2.collect(params, prefix + ".norm2");
  lin1.collect(params, prefix + ".mlp.lin1");
  lin2.collect(params, prefix + ".mlp.lin2");
  norm3.collect(params, prefix + ".norm3");
  norm4.collect(params, prefix + ".norm4");
  image_to_token.collect(params, prefix + ".cross_attn_image_to_token");
}

void Mlp3::collect(Params& params, const std::string& prefix) {
  layer0.collect(params, prefix + ".layers.0");
  layer1.collect(params, prefix + ".layers.1");
  layer2.collect(params, prefix + ".layers.2");
}

Masks MaskDecoder::operator()(const Tensor& embedding, const Tensor& grid_encoding, const Tensor& sparse,
                              const Tensor& dense, MaskSet wanted) const {
  const Scope decoder("decoder");
  const i64 batch = sparse.dim(0), side = embedding.dim(1);
  const Tensor output_tokens = concat({iou_token, mask_tokens}, 0).reshape({1, 1 + kMasks, 256});
  const Tensor tokens =
      concat({add(output_tokens, zeros({batch, 1, 1}, sparse.dtype(), sparse.device())), sparse}, 1);
  // Until the first block has written into it, all prompts share one image, and its projections with it.
  const Tensor image = add(embedding, dense);
  Tensor queries = tokens, keys = image.reshape({image.dim(0), side * side, 256});
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Scope part("block", static_cast<i64>(i));
    blocks[i](queries, keys, tokens, grid_encoding);
  }
  queries = within("final_attention", [&] {
    return final_norm(final_attn(add(queries, tokens), add(keys, grid_encoding), keys, queries));
  });

  const Tensor upscaled = within("upscale", [&] {
    return upscale2(gelu(upscale_norm(upscale1(keys.reshape({batch, side, side, 256})))), Act::gelu);
  });
  const i64 first = wanted == MaskSet::multi ? 1 : 0, end = wanted == MaskSet::single ? 1 : kMasks;
  const i64 count = end - first;
  std::vector<Tensor> weights;
  for (i64 m = first; m < end; ++m)
    weights.push_back(hypernetworks[static_cast<std::size_t>(m)](slice(queries, 1, 1 + m, 2 + m)));
  const Tensor logits =
      matmul(concat(weights, 1), upscaled.reshape({batch, 16 * side * side, 32}), false, true);
  const Tensor iou = iou_head(slice(queries, 1, 0, 1)).reshape({batch, kMasks});
  return {logits.reshape({batch, count, 4 * side, 4 * side}), slice(iou, 1, first, end)};
}

void MaskDecoder::collect(Params& params, const std::string& prefix) {
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i].collect(params, prefix + ".transformer.layers." + std::to_string(i));
  final_attn.collect(params, prefix + ".transformer.final_attn_token_to_image");
  final_norm.collect(params, prefix + ".transformer.norm_final_attn");
  params.push_back({prefix + ".iou_token.weight", {1, 256}, Layout::as_is, &iou_token});
  params.push_back({prefix + ".mask_tokens.weight", {kMasks, 256}, Layout::as_is, &mask_tokens});
  upscale1.collect(params, prefix + ".output_upscaling.0");
  upscale_norm.collect(params, prefix + ".output_upscaling.1");
  upscale2.collect(params, prefix + ".output_upscaling.3");
  for (std::size_t i = 0; i < hypernetworks.size(); ++i)
    hypernetworks[i].collect(params, prefix + ".output_hypernetworks_mlps." + std::to_string(i));
  iou_head.collect(params, prefix + ".iou_prediction_head");
}

}  // namespace bp::sam
