#include "nets/sam/mask_decoder.h"

#include "engine/trace.h"

namespace bp::sam {
namespace {

constexpr i64 kGrid = 64;

}  // namespace

void TwoWayBlock::look(Tensor& queries, const Tensor& keys, const Tensor& keys_at,
                       const Tensor& query_pe) const {
  if (first) {
    queries = self_attn(queries, queries, queries, {});
  } else {
    const Tensor q = add(queries, query_pe);
    queries = self_attn(q, q, queries, queries);
  }
  queries = norm1(queries);
  queries = norm2(token_to_image(add(queries, query_pe), keys_at, keys, queries));
  queries = norm3(lin2(lin1(queries, Act::relu), Act::none, queries));
}

Tensor TwoWayBlock::write(const Tensor& queries, const Tensor& keys, const Tensor& keys_at,
                          const Tensor& query_pe) const {
  return norm4(image_to_token(keys_at, add(queries, query_pe), queries, keys));
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
  const i64 batch = sparse.dim(0);
  const Tensor output_tokens = concat({iou_token, mask_tokens}, 0).reshape({1, 1 + kMasks, 256});
  const Tensor tokens =
      concat({add(output_tokens, zeros({batch, 1, 1}, sparse.dtype(), sparse.device())), sparse}, 1);
  // Until the first block has written into it, all prompts share one image, and its projections with it.
  const Tensor image = add(embedding, dense);
  const Tensor keys = image.reshape({image.dim(0), image.dim(1) * image.dim(2), 256});
  const Tensor keys_at = add(keys, grid_encoding);
  Tensor queries = tokens;
  {
    const Scope part("block", 0);
    blocks[0].look(queries, keys, keys_at, tokens);
  }

  // After that each has a map of its own, of 4 MB: on a processor one prompt after another finds it in the
  // cache.
  const bool in_turns = batch > 1 && tokens.device().type == Device::Type::cpu && !tracing();
  if (!in_turns) return finish(queries, tokens, keys, keys_at, grid_encoding, wanted);
  std::vector<Tensor> logits, iou;
  for (i64 b = 0; b < batch; ++b) {
    const auto own = [b](const Tensor& x) { return x.dim(0) == 1 ? x : x.slice(b, b + 1); };
    const Masks one = finish(own(queries), own(tokens), own(keys), own(keys_at), grid_encoding, wanted);
    logits.push_back(one.logits);
    iou.push_back(one.iou);
  }
  return {concat(logits, 0), concat(iou, 0)};
}

Masks MaskDecoder::finish(Tensor queries, const Tensor& tokens, Tensor keys, Tensor keys_at,
                          const Tensor& grid_encoding, MaskSet wanted) const {
  const i64 batch = queries.dim(0), side = kGrid;
  {
    const Scope part("block", 0);
    keys = blocks[0].write(queries, keys, keys_at, tokens);
  }
  {
    const Scope part("block", 1);
    keys_at = add(keys, grid_encoding);
    blocks[1].look(queries, keys, keys_at, tokens);
    keys = blocks[1].write(queries, keys, keys_at, tokens);
  }
  queries = within("final_attention", [&] {
    return final_norm(final_attn(add(queries, tokens), add(keys, grid_encoding), keys, queries));
  });

  // All of it goes pixel by pixel; only the logits are put where they belong.
  const i64 pixels = 16 * side * side;
  const Tensor upscaled = within("upscale", [&] {
    const Tensor twice = upscale1(keys).reshape({batch, pixels / 4, upscale1.out});
    return upscale2(gelu(upscale_norm(twice)), Act::gelu).reshape({batch, pixels, upscale2.out});
  });
  const i64 first = wanted == MaskSet::multi ? 1 : 0, end = wanted == MaskSet::single ? 1 : kMasks;
  const i64 count = end - first;
  std::vector<Tensor> weights;
  for (i64 m = first; m < end; ++m)
    weights.push_back(hypernetworks[static_cast<std::size_t>(m)](slice(queries, 1, 1 + m, 2 + m)));
  const Tensor logits = matmul(concat(weights, 1), upscaled, false, true);
  // The axes are the 64 x 64 grid and, twice, the row and the column in a square of two.
  const Tensor placed = permute(logits.reshape({batch * count * side, side, 2, 2, 2, 2}), {0, 2, 4, 1, 3, 5});
  const Tensor iou = iou_head(slice(queries, 1, 0, 1)).reshape({batch, kMasks});
  return {placed.reshape({batch, count, 4 * side, 4 * side}), slice(iou, 1, first, end)};
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
