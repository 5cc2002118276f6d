// The layers that networks are made of: plain structs of parameters with a call operator. collect() names the
// parameters as the published state dicts do, so loaders fill them without knowing the network. Each computes
// in the type of its weight and rounds its input to that; a residual keeps its own type, and so does the sum.
#pragma once
#include <string>
#include <vector>

#include "engine/ops.h"
#include "engine/param.h"
#include "engine/profile.h"

namespace bp {

struct Linear {  // act(x w^T + b) + residual; x [..,in] -> [..,out]
  i64 in = 0, out = 0;
  Tensor weight{}, bias{};

  Tensor operator()(const Tensor& x, Act act = Act::none, const Tensor& residual = {}) const {
    const Tensor in_type = cast(x, weight.dtype());
    if (!residual || residual.dtype() == weight.dtype()) return linear(in_type, weight, bias, act, residual);
    return add(residual, cast(linear(in_type, weight, bias, act), residual.dtype()));
  }
  // The same layer for several calls in a row: with a copy of its weight as products read it, unless the
  // weight has one or is being trained.
  Linear packed() const {
    Linear layer = *this;
    if (weight.packed(out) || weight.tracks_grad()) return layer;
    layer.weight = weight.detach();
    layer.weight.pack(out);
    return layer;
  }
  void collect(Params& params, const std::string& prefix) {
    params.push_back({prefix + ".weight", {out, in}, Layout::as_is, &weight});
    params.push_back({prefix + ".bias", {out}, Layout::as_is, &bias});
  }
};

struct LayerNorm {  // over the last axis, which on channels-last maps is SAM's LayerNorm2d
  i64 width = 0;
  float eps = 1e-5f;
  Tensor weight{}, bias{};

  Tensor operator()(const Tensor& x) const { return layer_norm(cast(x, weight.dtype()), weight, bias, eps); }
  void collect(Params& params, const std::string& prefix) {
    params.push_back({prefix + ".weight", {width}, Layout::as_is, &weight});
    params.push_back({prefix + ".bias", {width}, Layout::as_is, &bias});
  }
};

struct Conv {  // dense convolution, [N,H,W,in] -> [N,H',W',out]
  i64 in = 0, out = 0, kernel = 1, stride = 1, pad = 0;
  bool has_bias = true;
  Tensor weight{}, bias{};

  Tensor operator()(const Tensor& x) const {
    return conv2d(cast(x, weight.dtype()), weight, bias, stride, pad);
  }
  void collect(Params& params, const std::string& prefix) {
    params.push_back({prefix + ".weight", {out, in, kernel, kernel}, Layout::conv, &weight});
    if (has_bias) params.push_back({prefix + ".bias", {out}, Layout::as_is, &bias});
  }
};

// Stride 2, so output pixels do not overlap: [..,in] -> [..,4 out], the 2x2 output pixels of a position side
// by side. What follows pixel by pixel need not know where they lie.
struct ConvTranspose2x2 {
  i64 in = 0, out = 0;
  Tensor weight{}, bias{};

  Tensor operator()(const Tensor& x, Act act = Act::none) const {
    return linear(cast(x, weight.dtype()), weight.reshape({4 * out, in}), concat({bias, bias, bias, bias}, 0),
                  act);
  }
  void collect(Params& params, const std::string& prefix) {
    params.push_back({prefix + ".weight", {in, out, 2, 2}, Layout::transpose2x2, &weight});
    params.push_back({prefix + ".bias", {out}, Layout::as_is, &bias});
  }
};

// Blocks one after another, each a part of its own in profiles.
template <class Block>
Tensor chain(const std::vector<Block>& blocks, Tensor x) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Scope part("block", static_cast<i64>(i));
    x = blocks[i](x);
  }
  return x;
}

}  // namespace bp
