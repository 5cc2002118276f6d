#include "nets/fusion/fusion.h"

namespace bp::fusion {
namespace {

Conv to_one(i64 in, i64 kernel) {
  return {.in = in, .out = 1, .kernel = kernel, .stride = 1, .pad = kernel / 2};
}

}  // namespace

Fusion::Fusion(const std::array<i64, 4>& widths, const Parts& parts_)
    : parts(parts_),
      unify{ConvBn{widths[0], kWidth, 1, 1, false}, ConvBn{widths[1], kWidth, 3, 1, false},
            ConvBn{widths[2], kWidth, 3, 1, false}, ConvBn{widths[3], kWidth, 3, 1, false}},
      gates{to_one(kWidth, 1), to_one(kWidth, 1), to_one(kWidth, 1), to_one(kWidth, 1)},
      base_hidden{kWidth, kHidden, 3, 1, false},
      base(to_one(kHidden, 1)),
      query{.in = kWidth, .out = kWidth},
      recall(to_one(2 * kWidth, 1)),
      refine(to_one(kWidth + 1, 3)) {}

Tensor Fusion::operator()(const std::array<Tensor, 4>& features) const {
  const Scope fusion("fusion");
  const i64 height = features[0].dim(1), width = features[0].dim(2);
  Tensor fused, gate;
  for (std::size_t i = 0; i < 4; ++i) {
    const Scope scale("scale", static_cast<i64>(i));
    Tensor x = cast(unify[i](features[i], Act::gelu), features[i].dtype());
    if (i > 0) x = resize_bilinear(x, height, width);
    if (parts.gate) {
      const Tensor g = sigmoid(gates[i](x));
      gate = gate ? add(gate, g) : g;
      x = mul(g, x);
    }
    fused = fused ? add(fused, x) : x;
  }
  Tensor answer = within("base", [&] { return sigmoid(base(base_hidden(fused, Act::gelu))); });
  if (parts.gate) answer = mul(answer, affine(gate, 0.25f, 0));
  if (parts.memory) {
    const Tensor memory = remembered(fused);
    answer = add(memory, mul(sigmoid(mix), sub(answer, memory)));
  }
  const Scope last("refine");
  return refine(concat({fused, answer}, 3));
}

Tensor Fusion::remembered(const Tensor& fused) const {
  const Scope memory("memory");
  const Tensor q = l2_normalize(query(fused));
  const Tensor likeness = linear(q, l2_normalize(prototypes));
  const Tensor r = matmul(softmax(mul(likeness, inverse_tau)), prototypes);
  return sigmoid(recall(concat({q, r}, 3)));
}

void Fusion::collect(Params& params, const std::string& prefix) {
  for (std::size_t i = 0; i < 4; ++i) unify[i].collect(params, prefix + "unify." + std::to_string(i));
  if (parts.gate)
    for (std::size_t i = 0; i < 4; ++i) gates[i].collect(params, prefix + "gate." + std::to_string(i));
  base_hidden.collect(params, prefix + "base.0");
  base.collect(params, prefix + "base.1");
  if (parts.memory) {
    query.collect(params, prefix + "memory.query");
    params.push_back({prefix + "memory.prototypes", {kPrototypes, kWidth}, Layout::as_is, &prototypes});
    params.push_back({prefix + "memory.inverse_tau", {1}, Layout::as_is, &inverse_tau});
    params.push_back({prefix + "memory.mix", {1}, Layout::as_is, &mix});
    recall.collect(params, prefix + "memory.recall");
  }
  refine.collect(params, prefix + "refine");
}

template <class F>
void Fusion::each_conv(F&& f) {
  for (ConvBn& c : unify) f(c);
  f(base_hidden);
}

void Fusion::fold(DType dtype) {
  each_conv([dtype](ConvBn& c) { c.fold(dtype); });
}

void Fusion::train(bool on) {
  each_conv([on](ConvBn& c) { c.train(on); });
}

}  // namespace bp::fusion
