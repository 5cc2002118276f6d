// What a forward computes, op by op as it runs: for tables of layers and counts of multiply-adds that cannot
// differ from the code.
#pragma once
#include <vector>

#include "engine/tensor.h"

namespace bp {

// Ops that hold weights or multiply matrices: products, convolutions, attention, norms. Elementwise ops and
// resizing are not recorded.
struct TracedOp {
  const char* op;
  Shape output;
  i64 multiply_adds;                 // of products and convolutions; norms count none
  std::vector<const void*> weights;  // Tensor::raw() of the op's parameters
};

// While it lives, the forward ops of this thread are recorded. One at a time per thread.
class Trace {
 public:
  Trace();
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  const std::vector<TracedOp>& ops() const { return ops_; }

 private:
  friend void trace(const char*, const Tensor&, i64, TensorRefs);
  std::vector<TracedOp> ops_;
};

// Whether one lives on this thread.
bool tracing();

// Called by the ops; undefined weights are left out.
void trace(const char* op, const Tensor& y, i64 multiply_adds, TensorRefs weights);

}  // namespace bp
