// The attention between prompt tokens and the image in SAM's mask decoder (segment-anything,
// modeling/transformer.py, class Attention).
#pragma once
#include <string>

#include "nets/layers.h"

namespace bp::sam {

// Queries [B,Nq,256] attend to keys and values [B,Nk,256] in 8 heads of inner / 8 channels each. A batch of 1
// on either side is shared by the other's.
struct CrossAttention {
  Linear q, k, v, out;

  explicit CrossAttention(i64 inner)
      : q{.in = 256, .out = inner},
        k{.in = 256, .out = inner},
        v{.in = 256, .out = inner},
        out{.in = inner, .out = 256} {}
  // residual [B or 1,Nq,256] is added to the result [B,Nq,256], if given.
  Tensor operator()(const Tensor& queries, const Tensor& keys, const Tensor& values,
                    const Tensor& residual) const;
  void collect(Params& params, const std::string& prefix);

 private:
  Tensor few_queries(const Tensor& queries, const Tensor& keys, const Tensor& values,
                     const Tensor& residual) const;
  Tensor few_keys(const Tensor& queries, const Tensor& keys, const Tensor& values,
                  const Tensor& residual) const;
  float scale() const;
};

}  // namespace bp::sam
