// Reverse-mode differentiation on a tape. An op records its backward only where an input tracks gradients and
// gradients are enabled; otherwise a forward pays one branch. Gradients have their tensor's shape and dtype.
#pragma once
#include <functional>
#include <vector>

#include "engine/tensor.h"

namespace bp {

// One gradient per input of record(), in order; undefined where that input does not track gradients.
using Gradients = std::vector<Tensor>;
using BackwardFn = std::function<Gradients(const Tensor& dy)>;

// True if any of the inputs tracks gradients and gradients are enabled on this thread.
bool tracks_grad(TensorRefs inputs);

// Makes y the result of an op on inputs. `backward` must not hold y itself (a cycle): hold y.detach().
void record(Tensor& y, std::vector<Tensor> inputs, BackwardFn backward);

// For ops without a gradient: throws "<op>: no gradient" if one would be recorded.
void require_no_grad(const char* op, TensorRefs inputs);

// Adds d(loss)/d(leaf) to the gradient of every leaf that requires one, then frees the tape below loss.
// With no `seed`, loss must have one element and the seed is 1; otherwise the seed has loss's shape.
void backward(const Tensor& loss, const Tensor& seed = {});

// Switches recording off on this thread for its lifetime.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

}  // namespace bp
