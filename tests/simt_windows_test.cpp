// Window attention on the emulator beside the CPU's: SAM's relative positions, TinyViT's table, padding.
#include "tests/simt_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Windows {
  i64 batch, h, w, heads, d, win_h, win_w;
  bool per_head = false, relative = false, bias = false;
  i64 offset = 0;  // of all tensors, from an address of 16 bytes
  bool lse = true;
};

bool sticks_out(const Windows& s) {
  return s.h % s.win_h != 0 || s.w % s.win_w != 0;
}
i64 lse_size(const Windows& s) {
  return s.batch * ((s.h + s.win_h - 1) / s.win_h) * ((s.w + s.win_w - 1) / s.win_w) * s.heads * s.win_h *
         s.win_w;
}

// qkv, pad, rel_h, rel_w, bias
std::vector<Operand> inputs(const Windows& s) {
  const i64 c = s.heads * s.d;
  const auto random = [&](i64 n, unsigned seed, bool present) {
    return present ? shifted(input(numbers(n, seed, -2, 2)), s.offset) : null();
  };
  return {random(s.batch * s.h * s.w * 3 * c, 1, true), random(3 * c, 2, sticks_out(s)),
          random((2 * s.win_h - 1) * s.d, 3, s.relative), random((2 * s.win_w - 1) * s.d, 4, s.relative),
          random(s.heads * s.win_h * s.win_w, 5, s.bias)};
}

k::WindowAttention arguments(const Windows& s, DType dtype, const Pointers& p) {
  k::WindowAttention a{};
  a.qkv = p[0], a.pad = p[1], a.rel_h = p[2], a.rel_w = p[3], a.bias = p[4];
  a.batch = s.batch;
  a.h = s.h;
  a.w = s.w;
  a.heads = s.heads;
  a.d = s.d;
  a.win_h = s.win_h;
  a.win_w = s.win_w;
  a.per_head = s.per_head;
  a.scale = 1 / std::sqrt(static_cast<float>(s.d));
  a.dtype = dtype;
  return a;
}

std::string name(const Windows& s) {
  std::string n;
  for (const i64 v : {s.batch, s.h, s.w, s.heads, s.d, s.win_h, s.win_w}) n += std::to_string(v) + " ";
  return n + (s.per_head ? "per head " : "") + (s.relative ? "relative " : "") + (s.bias ? "bias" : "");
}

void check_forward(const Windows& s) {
  CAPTURE(name(s));
  std::vector<Operand> operands = inputs(s);
  operands.push_back(shifted(output(s.batch * s.h * s.w * s.heads * s.d), s.offset));
  operands.push_back(s.lse ? output_f32(lse_size(s)) : null());
  check_kernel(
      operands,
      [&](const k::Kernels& kernels, DType dtype, const Pointers& p) {
        k::WindowAttention a = arguments(s, dtype, p);
        a.y = p[5], a.lse = static_cast<float*>(p[6]);
        kernels.window_attention(a);
      },
      s.relative ? 2e-5 : 5e-6, 0x1p-8);  // relative positions: logits of tens
}

// The backward's inputs are what the CPU's forward gives for the same numbers, in the type of each run.
Call backward(const Windows& s) {
  return [=](const k::Kernels& kernels, DType dtype, const Pointers& p) {
    k::WindowAttention a = arguments(s, dtype, p);
    const Block y(output(s.batch * s.h * s.w * s.heads * s.d), dtype), lse(output_f32(lse_size(s)), dtype);
    a.y = y.data(), a.lse = static_cast<float*>(lse.data());
    cpu::kernels().window_attention(a);
    kernels.window_attention_backward({a, p[5], p[6], p[7], p[8]});
  };
}

std::vector<Operand> backward_operands(const Windows& s, bool dpad, bool dbias) {
  std::vector<Operand> operands = inputs(s);
  const i64 c = s.heads * s.d, y_size = s.batch * s.h * s.w * c;
  operands.push_back(shifted(input(numbers(y_size, 6)), s.offset));
  operands.push_back(shifted(output(3 * y_size), s.offset));
  operands.push_back(dpad ? shifted(output(3 * c), s.offset) : null());
  operands.push_back(dbias ? shifted(output(s.heads * s.win_h * s.win_w), s.offset) : null());
  return operands;
}

void check_backward(const Windows& s, bool dpad, bool dbias) {
  CAPTURE(name(s));
  check_kernel(backward_operands(s, dpad, dbias), backward(s), 1e-5, 0x1p-7);
}

}  // namespace

TEST_CASE("windows without positions, that fit and that stick out") {
  check_forward({.batch = 1, .h = 4, .w = 4, .heads = 2, .d = 16, .win_h = 2, .win_w = 2});
  check_forward({.batch = 2, .h = 9, .w = 11, .heads = 2, .d = 32, .win_h = 4, .win_w = 4});
  check_forward({.batch = 1, .h = 3, .w = 3, .heads = 1, .d = 7, .win_h = 5, .win_w = 5});
  check_forward({.batch = 2, .h = 5, .w = 4, .heads = 1, .d = 16, .win_h = 3, .win_w = 4});
  check_forward({.batch = 0, .h = 3, .w = 3, .heads = 1, .d = 16, .win_h = 3, .win_w = 3});
}

TEST_CASE("windows with relative positions") {
  check_forward({.batch = 2, .h = 9, .w = 11, .heads = 2, .d = 16, .win_h = 4, .win_w = 4, .relative = true});
  check_forward(
      {.batch = 1, .h = 15, .w = 20, .heads = 1, .d = 80, .win_h = 14, .win_w = 14, .relative = true});
  check_forward({.batch = 1, .h = 6, .w = 9, .heads = 2, .d = 64, .win_h = 6, .win_w = 9, .relative = true});
  check_forward({.batch = 1, .h = 5, .w = 7, .heads = 2, .d = 7, .win_h = 3, .win_w = 4, .relative = true});
  check_forward({.batch = 1,
                 .h = 5,
                 .w = 7,
                 .heads = 1,
                 .d = 100,
                 .win_h = 3,
                 .win_w = 4,
                 .per_head = true,
                 .relative = true,
                 .lse = false});
}

TEST_CASE("relative positions over a whole grid: rows of as many tokens as a tile of keys, wide blocks") {
  check_forward(
      {.batch = 1, .h = 3, .w = 64, .heads = 1, .d = 64, .win_h = 3, .win_w = 64, .relative = true});
  check_forward(
      {.batch = 1, .h = 5, .w = 32, .heads = 2, .d = 80, .win_h = 5, .win_w = 32, .relative = true});
  check_forward(
      {.batch = 1, .h = 8, .w = 64, .heads = 1, .d = 64, .win_h = 8, .win_w = 64, .relative = true});
  check_forward(
      {.batch = 1, .h = 23, .w = 24, .heads = 1, .d = 80, .win_h = 23, .win_w = 24, .relative = true});
}

TEST_CASE("windows with a table") {
  check_forward({.batch = 2,
                 .h = 9,
                 .w = 11,
                 .heads = 2,
                 .d = 16,
                 .win_h = 4,
                 .win_w = 4,
                 .per_head = true,
                 .bias = true});
  check_forward({.batch = 2,
                 .h = 14,
                 .w = 7,
                 .heads = 2,
                 .d = 32,
                 .win_h = 7,
                 .win_w = 7,
                 .per_head = true,
                 .bias = true});
  check_forward({.batch = 1,
                 .h = 16,
                 .w = 28,
                 .heads = 1,
                 .d = 32,
                 .win_h = 14,
                 .win_w = 14,
                 .per_head = true,
                 .bias = true});
  check_forward(
      {.batch = 1, .h = 3, .w = 5, .heads = 3, .d = 33, .win_h = 3, .win_w = 5, .bias = true, .offset = 1});
  check_forward({.batch = 1,
                 .h = 23,
                 .w = 23,
                 .heads = 1,
                 .d = 32,
                 .win_h = 23,
                 .win_w = 23,
                 .per_head = true,
                 .bias = true});
}

TEST_CASE("gradients of windows with a table") {
  check_backward({.batch = 2,
                  .h = 9,
                  .w = 11,
                  .heads = 2,
                  .d = 16,
                  .win_h = 4,
                  .win_w = 4,
                  .per_head = true,
                  .bias = true},
                 true, true);
  check_backward({.batch = 2,
                  .h = 14,
                  .w = 7,
                  .heads = 2,
                  .d = 32,
                  .win_h = 7,
                  .win_w = 7,
                  .per_head = true,
                  .bias = true},
                 false, true);
  check_backward({.batch = 1,
                  .h = 16,
                  .w = 14,
                  .heads = 1,
                  .d = 32,
                  .win_h = 14,
                  .win_w = 14,
                  .per_head = true,
                  .bias = true},
                 true, true);
  check_backward({.batch = 1, .h = 5, .w = 9, .heads = 2, .d = 64, .win_h = 5, .win_w = 3, .bias = true},
                 false, false);
  check_backward({.batch = 1,
                  .h = 5,
                  .w = 4,
                  .heads = 3,
                  .d = 7,
                  .win_h = 3,
                  .win_w = 2,
                  .per_head = true,
                  .bias = true,
                  .offset = 1},
                 true, true);
}

TEST_CASE("gradients of windows without positions") {
  check_backward({.batch = 1, .h = 7, .w = 9, .heads = 2, .d = 24, .win_h = 4, .win_w = 4}, true, false);
  check_backward({.batch = 1, .h = 3, .w = 23, .heads = 1, .d = 100, .win_h = 3, .win_w = 23}, false, true);
}

TEST_CASE("what windows share, table and padding, is summed in one order") {
  const Windows s{.batch = 2,
                  .h = 9,
                  .w = 11,
                  .heads = 2,
                  .d = 16,
                  .win_h = 4,
                  .win_w = 4,
                  .per_head = true,
                  .bias = true};
  check_bits(backward_operands(s, true, true), backward(s));
}
