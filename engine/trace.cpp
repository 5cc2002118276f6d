#include "engine/trace.h"

#include "engine/error.h"

namespace bp {
namespace {

thread_local Trace* current = nullptr;

}  // namespace

Trace::Trace() {
  require(current == nullptr, "trace: one is running on this thread already");
  current = this;
}

Trace::~Trace() {
  current = nullptr;
}

bool tracing() {
  return current != nullptr;
}

void trace(const char* op, const Tensor& y, i64 multiply_adds, TensorRefs weights) {
  if (!current) return;
  TracedOp traced{op, y.shape(), multiply_adds, {}};
  for (const Tensor& w : weights)
    if (w) traced.weights.push_back(w.raw());
  current->ops_.push_back(std::move(traced));
}

}  // namespace bp
