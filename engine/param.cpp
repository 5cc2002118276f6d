#include "engine/param.h"

#include "engine/ops.h"

namespace bp {

void require_grad(const Params& params, bool on) {
  for (const Param& p : params) {
    require(p.tensor && p.tensor->defined(), p.name, ": has no values yet");
    if (p.trained) p.tensor->requires_grad(on);
  }
}

void to_device(const Params& params, Device device) {
  for (const Param& p : params) {
    require(p.tensor && p.tensor->defined(), p.name, ": has no values yet");
    if (p.tensor->device() == device) continue;
    const bool tracked = p.tensor->tracks_grad();
    *p.tensor = to(p.tensor->detach(), device);
    if (tracked) p.tensor->requires_grad();
  }
}

void to_dtype(const Params& params, DType dtype) {
  for (const Param& p : params) {
    require(p.tensor && p.tensor->defined(), p.name, ": has no values yet");
    if (!p.trained || p.tensor->dtype() == dtype) continue;
    const bool tracked = p.tensor->tracks_grad();
    *p.tensor = cast(p.tensor->detach(), dtype);
    if (tracked) p.tensor->requires_grad();
  }
}

void pack(const Params& params) {
  for (const Param& p : params) {
    if (p.layout == Layout::as_is && p.shape.rank() == 2) p.tensor->pack(p.shape[0]);
    if (p.layout == Layout::transpose2x2) p.tensor->pack(4 * p.shape[1]);
  }
}

Tensor to_ours(const Tensor& published, Layout layout) {
  const Shape& s = published.shape();
  switch (layout) {
    case Layout::as_is:
      return published;
    case Layout::conv:
      require(s.rank() == 4, "conv weight ", s, ", wanted [O,I,kh,kw]");
      return permute(published, {0, 2, 3, 1});
    case Layout::depthwise:
      require(s.rank() == 4 && s[1] == 1, "depthwise weight ", s, ", wanted [C,1,kh,kw]");
      return permute(published, {2, 3, 0, 1}).reshape({s[2], s[3], s[0]});
    case Layout::transpose2x2:
      require(s.rank() == 4, "transposed convolution's weight ", s, ", wanted [I,O,2,2]");
      return permute(published, {2, 3, 1, 0});
  }
  fail("to_ours: unknown layout");
}

Tensor to_published(const Tensor& ours, const Shape& published, Layout layout) {
  require(ours.numel() == published.numel(), "to_published: ", ours.shape(), " to ", published);
  switch (layout) {
    case Layout::as_is:
      return ours.reshape(published);
    case Layout::conv:
      return permute(ours, {0, 3, 1, 2});
    case Layout::depthwise:
      return permute(ours, {2, 0, 1}).reshape(published);
    case Layout::transpose2x2:
      return permute(ours, {3, 2, 0, 1});
  }
  fail("to_published: unknown layout");
}

}  // namespace bp
