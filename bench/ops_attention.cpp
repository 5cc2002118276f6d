// Attention: over a grid with SAM's relative positions, in windows, and between tokens and image.
#include <cmath>

#include "bench/ops.h"

namespace bp::bench {
namespace {

constexpr float kPositions = 0.3f;  // as large as the logits' share of q.k: both kinds of error are seen

// Inputs are uniform in [-s, s): q.k / sqrt(d) then varies by s^2 / 3, here about 1.
constexpr float kSpread = 1.7f;

k::WindowAttention windows(i64 batch, i64 heads, i64 d, i64 h, i64 w, i64 win_h, i64 win_w, DType t) {
  k::WindowAttention a{};
  a.batch = batch, a.h = h, a.w = w, a.heads = heads, a.d = d, a.win_h = win_h, a.win_w = win_w;
  a.scale = 1 / std::sqrt(static_cast<float>(d));
  a.dtype = t;
  return a;
}

std::vector<Slot<k::WindowAttention>> window_slots(const k::WindowAttention& a) {
  using A = k::WindowAttention;
  const i64 tokens = a.batch * a.h * a.w, c = a.heads * a.d;
  std::vector<Slot<A>> slots{slot(&A::qkv, input(a.dtype, tokens * 3 * c, -kSpread, kSpread)),
                             slot(&A::y, output(a.dtype, tokens * c))};
  if (a.h % a.win_h != 0 || a.w % a.win_w != 0)
    slots.push_back(slot(&A::pad, input(a.dtype, 3 * c, -kSpread, kSpread)));
  return slots;
}

// heads x d x h x w: the whole grid is one window.
Problem attention_relpos(const Sizes& s, DType t) {
  using A = k::WindowAttention;
  const A a = windows(1, s[0], s[1], s[2], s[3], s[2], s[3], t);
  auto slots = window_slots(a);
  slots.push_back(slot(&A::rel_h, input(t, (2 * a.win_h - 1) * a.d, -kPositions, kPositions)));
  slots.push_back(slot(&A::rel_w, input(t, (2 * a.win_w - 1) * a.d, -kPositions, kPositions)));
  return make_problem<A>(a, slots, &k::Kernels::window_attention, &k::Ladders::attention_relpos);
}

// batch x heads x d x h x w x window. As in SAM: relative positions. "bias": TinyViT's table and layout.
Problem window_attention(const Sizes& s, DType t) {
  using A = k::WindowAttention;
  A a = windows(s[0], s[1], s[2], s[3], s[4], s[5], s[5], t);
  auto slots = window_slots(a);
  if (s.kind == "bias") {
    a.per_head = true;
    slots.push_back(slot(&A::bias, input(t, a.heads * a.win_h * a.win_w)));
  } else {
    slots.push_back(slot(&A::rel_h, input(t, (2 * a.win_h - 1) * a.d, -kPositions, kPositions)));
    slots.push_back(slot(&A::rel_w, input(t, (2 * a.win_w - 1) * a.d, -kPositions, kPositions)));
  }
  return make_problem<A>(a, slots, &k::Kernels::window_attention, &k::Ladders::window_attention);
}

// heads x d x queries x keys
Problem attention(const Sizes& s, DType t) {
  using A = k::Attention;
  A a{};
  a.batch = 1, a.heads = s[0], a.d = s[1], a.nq = s[2], a.nk = s[3];
  const i64 c = a.heads * a.d;
  a.q_row = a.k_row = a.v_row = c;
  a.q_batch = a.nq * c, a.k_batch = a.v_batch = a.nk * c;
  a.scale = 1 / std::sqrt(static_cast<float>(a.d)), a.dtype = t;
  return make_problem<A>(
      a,
      {slot(&A::q, input(t, a.nq * c, -kSpread, kSpread)), slot(&A::k, input(t, a.nk * c, -kSpread, kSpread)),
       slot(&A::v, input(t, a.nk * c)), slot(&A::o, output(t, a.nq * c))},
      &k::Kernels::attention);
}

}  // namespace

std::vector<Op> attention_ops() {
  return {
      {"attention_relpos",
       "attention over a whole grid with SAM's decomposed relative positions",
       {"heads", "d", "h", "w"},
       {},
       {{"sam_b_global", {{12, 64, 64, 64}, ""}},
        {"sam_h_global", {{16, 80, 64, 64}, ""}},
        {"sam_h_half", {{16, 80, 32, 32}, ""}}},
       {{0, 1}, {2, 8}, {3, 8}},
       attention_relpos},
      {"window_attention",
       "attention in windows of a grid, with relative positions, or a table of biases (kind: bias)",
       {"batch", "heads", "d", "h", "w", "window"},
       {"bias"},
       {{"sam_b_window", {{1, 12, 64, 64, 64, 14}, ""}},
        {"sam_h_window", {{1, 16, 80, 64, 64, 14}, ""}},
        {"sam_t_stage1", {{1, 4, 32, 128, 128, 7}, "bias"}},
        {"sam_t_stage2", {{1, 5, 32, 64, 64, 14}, "bias"}},
        {"student_stage1", {{16, 4, 32, 28, 28, 7}, "bias"}},
        {"student_stage2", {{16, 5, 32, 14, 14, 14}, "bias"}}},
       {{0, 1}, {1, 1}, {3, 16}, {4, 16}},
       window_attention},
      {"attention",
       "attention between tokens and image, as in SAM's decoder",
       {"heads", "d", "queries", "keys"},
       {},
       {{"decoder_token_to_image", {{8, 16, 7, 4096}, ""}},
        {"decoder_image_to_token", {{8, 16, 4096, 7}, ""}}},
       {{3, 64}, {2, 64}, {0, 1}},
       attention},
  };
}

}  // namespace bp::bench
