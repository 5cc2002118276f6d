#include <cmath>

#include "engine/ops/common.h"

namespace bp {

Tensor window_attention(const Tensor& qkv, const WindowSpec& spec, const Tensor& pad, const Tensor& rel_h,
                        const Tensor& rel_w, const Tensor& bias_table) {
  constexpr const char* name = "window_attention";
  require_alike(name, {qkv, pad, rel_h, rel_w, bias_table});
  require(qkv.defined() && qkv.rank() == 4, name, ": qkv ", shape_text(qkv), ", wanted [B,H,W,3C]");
  const i64 batch = qkv.dim(0), h = qkv.dim(1), w = qkv.dim(2), heads = spec.heads;
  require(heads >= 1 && qkv.dim(3) >= 3 * heads && qkv.dim(3) % (3 * heads) == 0, name, ": ", heads,
          " heads for qkv ", qkv.shape());
  require(spec.window >= 0 && h >= 1 && w >= 1, name, ": window ", spec.window, " on qkv ", qkv.shape());
  const i64 c = qkv.dim(3) / 3, d = c / heads;
  const i64 win_h = spec.window ? spec.window : h, win_w = spec.window ? spec.window : w;
  const i64 windows = ((h + win_h - 1) / win_h) * ((w + win_w - 1) / win_w);

  require(pad || (h % win_h == 0 && w % win_w == 0), name, ": windows of ", win_h, "x", win_w,
          " stick out of ", h, "x", w, " tokens, and no values for padding were given");
  require(!pad || pad.shape() == Shape{3 * c}, name, ": pad ", shape_text(pad), ", wanted ", Shape{3 * c});
  require(rel_h.defined() == rel_w.defined(), name, ": one of the two relative position tables is missing");
  require(!rel_h || (rel_h.shape() == Shape{2 * win_h - 1, d} && rel_w.shape() == Shape{2 * win_w - 1, d}),
          name, ": relative positions ", shape_text(rel_h), " and ", shape_text(rel_w), ", wanted ",
          Shape{2 * win_h - 1, d}, " and ", Shape{2 * win_w - 1, d});
  require(!bias_table || bias_table.shape() == Shape{heads, win_h * win_w}, name, ": bias table ",
          shape_text(bias_table), ", wanted ", Shape{heads, win_h * win_w});
  require(!rel_h || !bias_table, name, ": both relative positions and a bias table");
  if (rel_h) require_no_grad("window_attention with relative positions", {qkv, pad, rel_h, rel_w});

  const bool track = tracks_grad({qkv, pad, bias_table});
  Tensor y = empty({batch, h, w, c}, qkv.dtype(), qkv.device());
  Tensor lse = track ? empty({batch, windows, heads, win_h * win_w}, DType::f32, qkv.device()) : Tensor{};
  const k::WindowAttention forward{.qkv = qkv.raw(),
                                   .pad = raw_or_null(pad),
                                   .rel_h = raw_or_null(rel_h),
                                   .rel_w = raw_or_null(rel_w),
                                   .bias = raw_or_null(bias_table),
                                   .y = y.raw(),
                                   .lse = floats(lse),
                                   .batch = batch,
                                   .h = h,
                                   .w = w,
                                   .heads = heads,
                                   .d = d,
                                   .win_h = win_h,
                                   .win_w = win_w,
                                   .per_head = spec.per_head,
                                   .scale = 1.0f / std::sqrt(static_cast<float>(d)),
                                   .dtype = qkv.dtype()};
  kernels(qkv).window_attention(forward);
  // Every token against its window's, twice; relative positions add a row and a column of products.
  trace("window_attention", y, y.numel() * (2 * win_h * win_w + (rel_h ? win_h + win_w : 0)),
        {bias_table, rel_h, rel_w});
  if (track)
    record(y, {qkv, pad, bias_table},
           [forward, lse, gp = pad.tracks_grad(), gb = bias_table.tracks_grad(), qkv = qkv.detach(),
            pad = detached(pad), bias_table = detached(bias_table), y = y.detach()](const Tensor& dout) {
             const Tensor dqkv = empty_like(qkv), dpad = gp ? empty_like(pad) : Tensor{},
                          dbias = gb ? empty_like(bias_table) : Tensor{};
             kernels(dout).window_attention_backward(
                 {forward, dout.raw(), dqkv.raw(), raw_or_null(dpad), raw_or_null(dbias)});
             return Gradients{dqkv, dpad, dbias};
           });
  return y;
}

}  // namespace bp
