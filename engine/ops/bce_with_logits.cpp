#include "engine/graph.h"
#include "engine/ops/common.h"

namespace bp {

Tensor bce_with_logits(const Tensor& logits, const Tensor& targets) {
  require_float("bce_with_logits", logits);
  require_alike("bce_with_logits", {logits, targets});
  require(targets.defined() && targets.shape() == logits.shape() && logits.numel() > 0,
          "bce_with_logits: logits ", logits.shape(), ", targets ", shape_text(targets));
  require(!tracks_grad({targets}), "bce_with_logits: no gradient for targets");
  const bool track = tracks_grad({logits});
  Tensor loss = empty({}, logits.dtype(), logits.device()), dx = track ? empty_like(logits) : Tensor{};
  const Tensor outside = empty({1}, DType::f32, logits.device());
  kernels(logits).bce_with_logits({logits.raw(), targets.raw(), loss.raw(), raw_or_null(dx), floats(outside),
                                   logits.numel(), logits.dtype()});
  verify(outside, [n = targets.numel()](const std::vector<float>& count) {
    require(count[0] == 0, "bce_with_logits: ", count[0], " of ", n, " targets are not in [0,1]");
  });
  if (track) record(loss, {logits}, [dx](const Tensor& dy) { return Gradients{mul(dx, dy)}; });
  return loss;
}

}  // namespace bp
