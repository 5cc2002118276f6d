// The rungs of the ladders of attention with relative positions and of window attention, on the emulator
// beside the CPU's kernel.
#include "kernels/ladders/ladders.h"
#include "tests/simt_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

enum class Kind { none, relative, table };

struct Shape {
  i64 batch, h, w, heads, d;
  i64 win_h = 0, win_w = 0;
  Kind kind = Kind::none;
  bool per_head = false, lse = true;
  i64 offset = 0;  // of all tensors, from an address of 16 bytes
};

k::WindowAttention arguments(const Shape& s, DType dtype, const Pointers& p) {
  k::WindowAttention a{};
  a.qkv = p[0], a.pad = p[1], a.rel_h = p[2], a.rel_w = p[3], a.bias = p[4], a.y = p[5];
  a.lse = static_cast<float*>(p[6]);
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

i64 windows_of(const Shape& s) {
  return s.batch * ((s.h + s.win_h - 1) / s.win_h) * ((s.w + s.win_w - 1) / s.win_w);
}

std::vector<Operand> operands_of(const Shape& s) {
  const i64 c = s.heads * s.d, tokens = s.win_h * s.win_w;
  const bool sticks_out = s.h % s.win_h != 0 || s.w % s.win_w != 0, relative = s.kind == Kind::relative;
  const auto random = [&](i64 n, unsigned seed, bool present = true) {
    return present ? shifted(input(numbers(n, seed, -2, 2)), s.offset) : null();
  };
  return {random(s.batch * s.h * s.w * 3 * c, 1),
          random(3 * c, 2, sticks_out),
          random((2 * s.win_h - 1) * s.d, 3, relative),
          random((2 * s.win_w - 1) * s.d, 4, relative),
          random(s.heads * tokens, 5, s.kind == Kind::table),
          shifted(output(s.batch * s.h * s.w * c), s.offset),
          s.lse ? output_f32(windows_of(s) * s.heads * tokens) : null()};
}

// The largest distance of two tensors.
double distance(const Floats& a, const Floats& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    most = std::isnan(d) ? 1e30 : std::max(most, d);
  }
  return most;
}

// What bf16 costs at least: exact logits, softmax numerators and outputs rounded to bf16. In f32 memory.
void plain_bf16(const k::WindowAttention& a) {
  const auto* const qkv = static_cast<const float*>(a.qkv);
  const auto at = [](const void* p, i64 i) { return static_cast<double>(static_cast<const float*>(p)[i]); };
  const i64 down = (a.h + a.win_h - 1) / a.win_h, across = (a.w + a.win_w - 1) / a.win_w,
            tokens = a.win_h * a.win_w, c = a.heads * a.d, head_step = a.per_head ? 3 * a.d : a.d,
            part_step = a.per_head ? a.d : c;
  for (i64 unit = 0; unit < a.batch * down * across * a.heads; ++unit) {
    const i64 head = unit % a.heads, window = unit / a.heads % (down * across),
              image = unit / a.heads / (down * across);
    const auto index = [&](i64 t) {
      const i64 y = window / across * a.win_h + t / a.win_w, x = window % across * a.win_w + t % a.win_w;
      return y < a.h && x < a.w ? (image * a.h + y) * a.w + x : i64{-1};
    };
    const auto row = [&](int part, i64 t) {
      const i64 i = index(t);
      return (i < 0 ? static_cast<const float*>(a.pad) : qkv + i * 3 * c) + head * head_step +
             part * part_step;
    };
    for (i64 t = 0; t < tokens; ++t) {
      if (index(t) < 0) continue;
      const float* const q = row(0, t);
      std::vector<double> p(static_cast<std::size_t>(tokens));
      for (i64 key = 0; key < tokens; ++key) {
        const i64 dy = t / a.win_w - key / a.win_w, dx = t % a.win_w - key % a.win_w;
        double logit = a.bias ? at(a.bias, head * tokens + std::abs(dy) * a.win_w + std::abs(dx)) : 0.0;
        for (i64 e = 0; e < a.d; ++e) {
          logit += static_cast<double>(a.scale) * at(q, e) * at(row(1, key), e);
          if (a.rel_h)
            logit += at(q, e) *
                     (at(a.rel_h, (dy + a.win_h - 1) * a.d + e) + at(a.rel_w, (dx + a.win_w - 1) * a.d + e));
        }
        p[static_cast<std::size_t>(key)] = logit;
      }
      const double top = *std::max_element(p.begin(), p.end());
      double sum = 0;
      for (double& x : p) sum += x = std::exp(x - top);
      for (double& x : p) x = static_cast<double>(to_f32(to_bf16(static_cast<float>(x))));
      for (i64 e = 0; e < a.d; ++e) {
        double o = 0;
        for (i64 key = 0; key < tokens; ++key) o += p[static_cast<std::size_t>(key)] * at(row(2, key), e);
        static_cast<float*>(a.y)[(index(t) * a.heads + head) * a.d + e] =
            to_f32(to_bf16(static_cast<float>(o / sum)));
      }
    }
  }
}

// Every rung that takes the shape, in f32 and bf16 and three orders; `takers` says how many those are in
// each.
void check_rungs(const k::Ladder<k::WindowAttention>& ladder, const Shape& s, int f32_takers,
                 int bf16_takers) {
  using simt::OrderKind;
  const std::vector<Operand> operands = operands_of(s);
  INFO(s.batch, " x ", s.h, " x ", s.w, " heads ", s.heads, " of ", s.d, " windows ", s.win_h, " x ",
       s.win_w);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    std::vector<Operand> rounded = operands;
    for (Operand& x : rounded)
      if (dtype == DType::bf16)
        for (float& v : x.values) v = to_f32(to_bf16(v));
    const auto wanted = after(cpu::kernels(), rounded, DType::f32,
                              [&](const k::Kernels& kernels, DType type, const Pointers& p) {
                                kernels.window_attention(arguments(s, type, p));
                              });
    // Rungs that compute in f32 round their output only; those on tensor cores may lose twice what a plain
    // implementation in bf16 does.
    Floats plain = wanted[5];
    if (dtype == DType::bf16)
      plain = after(cpu::kernels(), rounded, DType::f32, [&](const auto&, DType type, const Pointers& p) {
        plain_bf16(arguments(s, type, p));
      })[5];
    int takers = 0;
    for (const auto& rung : ladder) {
      CAPTURE(rung.name);
      for (const simt::OrderKind order : orders()) {
        CAPTURE(static_cast<int>(order.kind));
        simt::set_order(order);
        bool taken = false;
        const auto got = after(simt::backend()->kernels, operands, dtype,
                               [&](const k::Kernels&, DType type, const Pointers& p) {
                                 const k::WindowAttention a = arguments(s, type, p);
                                 taken = rung.takes(a);
                                 if (taken) rung.run(a);
                               });
        if (!taken) break;
        takers += order.kind == OrderKind{}.kind;
        std::string where;
        if (dtype == DType::f32) {
          CHECK_MESSAGE(close(got[5], wanted[5], s.kind == Kind::relative ? 2e-5 : 5e-6, false, where),
                        where);
        } else {
          CHECK(distance(got[5], wanted[5]) <= 2 * distance(plain, wanted[5]));
        }
        CHECK_MESSAGE(close(got[6], wanted[6], 5e-6, false, where), where);
      }
    }
    simt::set_order({});
    CHECK(takers == (dtype == DType::f32 ? f32_takers : bf16_takers));
  }
}

// A grid that is one window.
void check_grid(Shape s, int f32_takers, int bf16_takers) {
  s.win_h = s.h, s.win_w = s.w;
  s.kind = Kind::relative;
  check_rungs(cuda::ladders().attention_relpos, s, f32_takers, bf16_takers);
}
void check_windows(const Shape& s, int f32_takers, int bf16_takers) {
  check_rungs(cuda::ladders().window_attention, s, f32_takers, bf16_takers);
}

// The rungs that take a shape, by their numbers: "12345".
std::string takers(const k::Ladder<k::WindowAttention>& ladder, const Shape& s, DType dtype) {
  alignas(16) static char somewhere[16];
  char* const at = somewhere + s.offset * static_cast<i64>(size_of(dtype));
  const bool relative = s.kind == Kind::relative;
  const k::WindowAttention a = arguments(s, dtype,
                                         {at, at, relative ? at : nullptr, relative ? at : nullptr,
                                          s.kind == Kind::table ? at : nullptr, at, nullptr});
  std::string numbers;
  for (const auto& rung : ladder)
    if (rung.takes(a)) numbers += rung.name[0];
  return numbers;
}

}  // namespace

TEST_CASE("rungs of attention with relative positions: one token, less than a tile, odd sizes") {
  check_grid({.batch = 1, .h = 1, .w = 1, .heads = 1, .d = 32}, 2, 5);
  check_grid({.batch = 2, .h = 3, .w = 5, .heads = 2, .d = 32}, 2, 5);
  check_grid({.batch = 1, .h = 13, .w = 7, .heads = 2, .d = 64, .per_head = true}, 2, 5);
  check_grid({.batch = 0, .h = 3, .w = 5, .heads = 2, .d = 32}, 2, 5);
}

TEST_CASE("rungs of attention with relative positions: several tiles, rows that are tiles") {
  check_grid({.batch = 1, .h = 3, .w = 64, .heads = 1, .d = 64, .lse = false}, 2, 5);
  check_grid({.batch = 1, .h = 40, .w = 5, .heads = 1, .d = 80}, 2, 5);
  check_grid({.batch = 1, .h = 2, .w = 71, .heads = 1, .d = 32}, 2, 5);
}

TEST_CASE("rungs of attention with relative positions: heads of any size are the first's") {
  check_grid({.batch = 1, .h = 4, .w = 5, .heads = 2, .d = 7}, 1, 1);
  check_grid({.batch = 1, .h = 4, .w = 5, .heads = 2, .d = 32, .offset = 1}, 1, 1);
}

TEST_CASE("rungs of window attention: relative positions, with and without padding") {
  check_windows(
      {.batch = 2, .h = 5, .w = 7, .heads = 2, .d = 32, .win_h = 3, .win_w = 4, .kind = Kind::relative}, 3,
      4);
  check_windows(
      {.batch = 1, .h = 14, .w = 17, .heads = 1, .d = 32, .win_h = 14, .win_w = 14, .kind = Kind::relative},
      3, 4);
  check_windows({.batch = 1,
                 .h = 13,
                 .w = 9,
                 .heads = 1,
                 .d = 80,
                 .win_h = 13,
                 .win_w = 5,
                 .kind = Kind::relative,
                 .lse = false},
                3, 4);
  check_windows({.batch = 1,
                 .h = 4,
                 .w = 8,
                 .heads = 2,
                 .d = 64,
                 .win_h = 2,
                 .win_w = 16,
                 .kind = Kind::relative,
                 .per_head = true},
                3, 4);
}

TEST_CASE("rungs of window attention: tables, and no positions") {
  check_windows({.batch = 1,
                 .h = 14,
                 .w = 7,
                 .heads = 2,
                 .d = 32,
                 .win_h = 7,
                 .win_w = 7,
                 .kind = Kind::table,
                 .per_head = true},
                3, 4);
  check_windows({.batch = 1,
                 .h = 16,
                 .w = 14,
                 .heads = 1,
                 .d = 32,
                 .win_h = 14,
                 .win_w = 14,
                 .kind = Kind::table,
                 .per_head = true},
                3, 4);
  check_windows({.batch = 2, .h = 4, .w = 3, .heads = 2, .d = 64, .win_h = 3, .win_w = 2}, 3, 4);
  check_windows(
      {.batch = 1, .h = 16, .w = 2, .heads = 1, .d = 32, .win_h = 16, .win_w = 1, .kind = Kind::relative}, 3,
      4);
  check_windows(
      {.batch = 1, .h = 13, .w = 1, .heads = 1, .d = 32, .win_h = 13, .win_w = 1, .kind = Kind::table}, 3, 4);
  check_windows(
      {.batch = 1, .h = 2, .w = 1, .heads = 1, .d = 32, .win_h = 1, .win_w = 1, .kind = Kind::table}, 3, 4);
  check_windows({.batch = 0, .h = 2, .w = 1, .heads = 1, .d = 32, .win_h = 1, .win_w = 1}, 3, 4);
}

TEST_CASE("rungs of window attention: heads of any size and large windows are for the first two") {
  check_windows({.batch = 1, .h = 5, .w = 4, .heads = 2, .d = 7, .win_h = 3, .win_w = 3, .kind = Kind::table},
                2, 2);
  check_windows({.batch = 1,
                 .h = 5,
                 .w = 4,
                 .heads = 1,
                 .d = 32,
                 .win_h = 3,
                 .win_w = 3,
                 .kind = Kind::relative,
                 .offset = 1},
                2, 2);
  check_windows(
      {.batch = 1, .h = 3, .w = 20, .heads = 1, .d = 32, .win_h = 3, .win_w = 20, .kind = Kind::relative}, 3,
      3);
}

TEST_CASE("the ladders of attention take the layers that they are for") {
  const auto& global = cuda::ladders().attention_relpos;
  const auto& windows = cuda::ladders().window_attention;
  const Shape vit_b{
      .batch = 1, .h = 64, .w = 64, .heads = 12, .d = 64, .win_h = 64, .win_w = 64, .kind = Kind::relative};
  Shape vit_h = vit_b;
  vit_h.heads = 16, vit_h.d = 80;
  CHECK(takers(global, vit_b, DType::bf16) == "12345");
  CHECK(takers(global, vit_h, DType::bf16) == "12345");
  CHECK(takers(global, vit_h, DType::f32) == "12");
  // The emulator's blocks have 99 KB of shared memory: not enough for the third rung at 14 x 14 and 64.
  for (const Shape& vit : {vit_b, vit_h}) {
    Shape windowed = vit;
    windowed.win_h = windowed.win_w = 14;
    CHECK(takers(windows, windowed, DType::bf16) == "124");
    CHECK(takers(global, windowed, DType::bf16).empty());
  }
  for (const i64 window : {7, 14}) {
    const Shape tiny_vit{.batch = 1,
                         .h = 28,
                         .w = 28,
                         .heads = 4,
                         .d = 32,
                         .win_h = window,
                         .win_w = window,
                         .kind = Kind::table,
                         .per_head = true};
    CHECK(takers(windows, tiny_vit, DType::bf16) == "1234");
    CHECK(takers(windows, tiny_vit, DType::f32) == "123");
    CHECK(takers(global, tiny_vit, DType::bf16).empty());
  }
}
