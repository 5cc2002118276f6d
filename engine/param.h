// What a network says of each of its parameters, so that loaders and writers need to know no network and
// networks no file: the published state-dict name, the published shape, and how our layout differs from the
// published one.
#pragma once
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace bp {

enum class Layout : std::uint8_t {
  as_is,
  conv,          // published [O,I,kh,kw], ours [O,kh,kw,I]
  depthwise,     // published [C,1,kh,kw], ours [kh,kw,C]
  transpose2x2,  // published [I,O,2,2],  ours [2,2,O,I]
};

struct Param {
  std::string name;  // published, with its prefix: "image_encoder.blocks.0.norm1.weight"
  Shape shape;       // published
  Layout layout = Layout::as_is;
  Tensor* tensor = nullptr;  // where it goes, in our layout
  bool trained = true;       // false: a statistic that the forward keeps, without a gradient
};
using Params = std::vector<Param>;

// Has those that are trained track gradients, or not any more.
void require_grad(const Params& params, bool on = true);

// Moves every parameter's values; what is on the device already stays the same tensor. What a network
// computed from them (Sam::prepare, Student::fold) has to be computed again.
void to_device(const Params& params, Device device);

// Turns every trained parameter into `dtype`; statistics stay f32.
void to_dtype(const Params& params, DType dtype);

// Packs (Tensor::pack) the weights of products and of transposed convolutions, for inference; those of
// ConvBn::fold() are packed there.
void pack(const Params& params);

// A tensor in published layout, in ours (the same handle where nothing changes), and back.
Tensor to_ours(const Tensor& published, Layout layout);
Tensor to_published(const Tensor& ours, const Shape& published, Layout layout);

}  // namespace bp
