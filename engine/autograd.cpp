#include "engine/autograd.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <unordered_set>

#include "engine/ops.h"
#include "engine/profile.h"
#include "engine/tensor_impl.h"

namespace bp {
namespace {

thread_local bool grad_enabled = true;
std::atomic<std::uint64_t> tape_position{0};

detail::TensorImpl& impl(const Tensor& x) {
  return TensorAccess::impl(x);
}

// All nodes below `root`, latest first: every op comes before the ops that made its inputs.
std::vector<std::shared_ptr<detail::Node>> nodes_below(const std::shared_ptr<detail::Node>& root) {
  std::vector<std::shared_ptr<detail::Node>> found{root};
  std::unordered_set<detail::Node*> seen{root.get()};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto node = found[i];  // by value: found grows below
    for (const Tensor& input : node->inputs)
      if (input && impl(input).node && seen.insert(impl(input).node.get()).second)
        found.push_back(impl(input).node);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->order > b->order; });
  return found;
}

void accumulate(Tensor& into, const Tensor& gradient) {
  into = into ? add(into, gradient) : gradient;
}

}  // namespace

NoGrad::NoGrad() : before_(grad_enabled) {
  grad_enabled = false;
}
NoGrad::~NoGrad() {
  grad_enabled = before_;
}

Tensor& Tensor::requires_grad(bool on) {
  auto& t = impl(*this);
  require(!t.node, "requires_grad: ", t.shape, " is the result of an op, not a leaf");
  require(t.dtype == DType::f32 || t.dtype == DType::bf16, "requires_grad: dtype ", name_of(t.dtype));
  t.requires_grad = on;
  if (on) t.packed.reset();
  return *this;
}

bool Tensor::tracks_grad() const {
  return impl_ && (impl_->requires_grad || impl_->node);
}
Tensor Tensor::grad() const {
  return impl(*this).grad;
}
void Tensor::zero_grad() {
  impl(*this).grad = {};
}

bool tracks_grad(TensorRefs inputs) {
  if (!grad_enabled) return false;
  return std::any_of(inputs.begin(), inputs.end(), [](const Tensor& x) { return x.tracks_grad(); });
}

void record(Tensor& y, std::vector<Tensor> inputs, BackwardFn backward_fn) {
  for (Tensor& x : inputs)
    if (!x.tracks_grad()) x = {};  // needs no gradient, so the tape does not keep it alive
  auto node = std::make_shared<detail::Node>();
  node->inputs = std::move(inputs);
  node->backward = std::move(backward_fn);
  node->order = tape_position.fetch_add(1);
  node->part = current_part();
  impl(y).node = std::move(node);
}

void require_no_grad(const char* op, TensorRefs inputs) {
  require(!tracks_grad(inputs), op, ": no gradient");
}

void backward(const Tensor& loss, const Tensor& seed) {
  require(loss.tracks_grad(), "backward: the loss does not depend on anything that requires a gradient");
  if (!seed)
    require(loss.numel() == 1, "backward: loss ", loss.shape(), " is not a scalar, and no seed was given");
  if (seed)
    require(seed.shape() == loss.shape() && seed.device() == loss.device(), "backward: seed ", seed.shape(),
            " on ", seed.device(), " for loss ", loss.shape(), " on ", loss.device());
  const NoGrad no_grad;
  const Scope scope("backward");
  Tensor start = seed ? seed : full(loss.shape(), 1.0f, loss.dtype(), loss.device());
  auto& top = impl(loss);
  if (!top.node) {
    accumulate(top.grad, start);
    return;
  }

  std::map<const detail::Node*, Tensor> pending{{top.node.get(), start}};
  for (const auto& node : nodes_below(top.node)) {
    const auto it = pending.find(node.get());
    if (it == pending.end()) continue;  // no gradient reaches this op
    require(static_cast<bool>(node->backward), "backward: this part of the tape was already used and freed");
    const Tensor dy = std::move(it->second);
    pending.erase(it);
    const Scope part(node->part);
    const Gradients gradients = node->backward(dy);
    require(gradients.size() == node->inputs.size(), "backward: an op returned ", gradients.size(),
            " gradients for ", node->inputs.size(), " inputs");
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i] || !node->inputs[i]) continue;
      auto& input = impl(node->inputs[i]);
      require(gradients[i].shape() == input.shape, "backward: gradient ", gradients[i].shape(), " for input ",
              input.shape);
      if (input.node)
        accumulate(pending[input.node.get()], gradients[i]);
      else if (input.requires_grad)
        accumulate(input.grad, gradients[i]);
    }
    node->backward = nullptr;  // what it held is freed as the tape is walked
    node->inputs.clear();
  }
}

}  // namespace bp
