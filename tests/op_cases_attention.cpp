// Cases of attention.
#include "tests/op_cases_parts.h"

namespace bp::testing {
namespace {

void add_attention(std::vector<Case>& cases) {
  struct Size {
    i64 batch, nq, nk, heads, d;
    int samples = 15;
  };
  for (const Size& s : {Size{1, 1, 1, 1, 16}, Size{2, 7, 5, 2, 16}, Size{1, 13, 70, 3, 32},
                        Size{2, 67, 3, 1, 64}, Size{1, 66, 131, 2, 80}, Size{3, 5, 9, 8, 32},
                        Size{1, 20, 17, 2, 7}, Size{1, 150, 301, 1, 64, 4}, Size{1, 9, 811, 2, 32, 4}}) {
    const Shape q{s.batch, s.nq, s.heads * s.d}, k{s.batch, s.nk, s.heads * s.d};
    const float scale = 1 / std::sqrt(static_cast<float>(s.d));
    Case c{text("attention ", q, k, " heads ", s.heads),
           {q, k, k},
           [=](const Tensors& x) { return attention(x[0], x[1], x[2], s.heads, scale); },
           [=](const Arrays& x) {
             Array y(q);
             std::vector<double> p(static_cast<std::size_t>(s.nk));
             for (i64 b = 0; b < s.batch; ++b)
               for (i64 h = 0; h < s.heads; ++h)
                 for (i64 i = 0; i < s.nq; ++i) {
                   double total = 0;
                   for (i64 j = 0; j < s.nk; ++j) {
                     double dot = 0;
                     for (i64 e = h * s.d; e < (h + 1) * s.d; ++e) dot += x[0](b, i, e) * x[1](b, j, e);
                     total += p[static_cast<std::size_t>(j)] = std::exp(scale * dot);
                   }
                   for (i64 j = 0; j < s.nk; ++j)
                     for (i64 e = h * s.d; e < (h + 1) * s.d; ++e)
                       y(b, i, e) += p[static_cast<std::size_t>(j)] / total * x[2](b, j, e);
                 }
             return y;
           }};
    c.low = -2;
    c.high = 2;
    c.terms = s.nk + s.d;
    c.samples = s.samples;
    cases.push_back(c);
  }
}

struct Windows {
  i64 batch, h, w, heads, d, window;
  bool per_head, relative, bias, pad;
  int samples = 12;
};

Array window_attention_reference(const Windows& s, const Arrays& x) {
  const i64 win_h = s.window ? s.window : s.h, win_w = s.window ? s.window : s.w, c = s.heads * s.d;
  std::size_t next = 1;
  const Array none, &pad = s.pad ? x[next++] : none;
  const Array &rel_h = s.relative ? x[next++] : none, &rel_w = s.relative ? x[next++] : none;
  const Array& bias = s.bias ? x[next++] : none;
  Array y(Shape{s.batch, s.h, s.w, c});
  // part 0, 1, 2: q, k, v of the token at (iy, ix), which may lie outside of the grid
  const auto value = [&](i64 b, i64 iy, i64 ix, i64 head, i64 part, i64 e) {
    const i64 at = s.per_head ? (head * 3 + part) * s.d + e : (part * s.heads + head) * s.d + e;
    return iy < s.h && ix < s.w ? x[0](b, iy, ix, at) : pad.at(at);
  };
  std::vector<double> p(static_cast<std::size_t>(win_h * win_w));
  for (i64 b = 0; b < s.batch; ++b)
    for (i64 iy = 0; iy < s.h; ++iy)
      for (i64 ix = 0; ix < s.w; ++ix)
        for (i64 head = 0; head < s.heads; ++head) {
          const i64 y0 = iy / win_h * win_h, x0 = ix / win_w * win_w;
          double total = 0;
          for (i64 ky = 0; ky < win_h; ++ky)
            for (i64 kx = 0; kx < win_w; ++kx) {
              const i64 dy = iy - y0 - ky, dx = ix - x0 - kx;
              double logit = 0;
              for (i64 e = 0; e < s.d; ++e) {
                const double q = value(b, iy, ix, head, 0, e);
                logit += q * value(b, y0 + ky, x0 + kx, head, 1, e) / std::sqrt(static_cast<double>(s.d));
                if (s.relative) logit += q * (rel_h(dy + win_h - 1, e) + rel_w(dx + win_w - 1, e));
              }
              if (s.bias) logit += bias(head, std::abs(dy) * win_w + std::abs(dx));
              total += p[static_cast<std::size_t>(ky * win_w + kx)] = std::exp(logit);
            }
          for (i64 ky = 0; ky < win_h; ++ky)
            for (i64 kx = 0; kx < win_w; ++kx)
              for (i64 e = 0; e < s.d; ++e)
                y(b, iy, ix, head * s.d + e) += p[static_cast<std::size_t>(ky * win_w + kx)] / total *
                                                value(b, y0 + ky, x0 + kx, head, 2, e);
        }
  return y;
}

void add_window_attention(std::vector<Case>& cases) {
  for (const Windows& s : {Windows{1, 4, 4, 2, 16, 2, false, false, false, false},
                           Windows{2, 7, 5, 2, 16, 3, false, true, false, true},
                           Windows{1, 6, 9, 1, 64, 0, false, true, false, false},
                           Windows{1, 15, 14, 1, 80, 14, false, true, false, true},
                           Windows{1, 20, 30, 2, 32, 0, false, true, false, false},
                           Windows{2, 7, 7, 2, 32, 7, true, false, true, false},
                           Windows{1, 8, 13, 3, 32, 7, true, false, true, true},
                           Windows{1, 3, 5, 2, 32, 0, true, false, true, false},
                           Windows{2, 5, 4, 2, 7, 3, true, false, true, true},
                           Windows{1, 3, 3, 1, 16, 5, false, false, false, true},
                           Windows{1, 28, 16, 1, 32, 14, true, false, true, true, 4},
                           Windows{1, 4, 4, 1, 16, 2, true, false, true, true}}) {
    const i64 c = s.heads * s.d, win_h = s.window ? s.window : s.h, win_w = s.window ? s.window : s.w;
    std::vector<Shape> inputs{{s.batch, s.h, s.w, 3 * c}};
    if (s.pad) inputs.push_back({3 * c});
    if (s.relative) {
      inputs.push_back({2 * win_h - 1, s.d});
      inputs.push_back({2 * win_w - 1, s.d});
    }
    if (s.bias) inputs.push_back({s.heads, win_h * win_w});
    Case test{text("window_attention ", inputs[0], " heads ", s.heads, " window ", s.window,
                   s.per_head ? " per head" : "", s.relative ? " relative" : "", s.bias ? " bias" : "",
                   s.pad ? " pad" : ""),
              inputs,
              [s](const Tensors& x) {
                std::size_t next = 1;
                const Tensor pad = s.pad ? x[next++] : Tensor{};
                const Tensor rel_h = s.relative ? x[next++] : Tensor{},
                             rel_w = s.relative ? x[next++] : Tensor{};
                const Tensor bias = s.bias ? x[next++] : Tensor{};
                return window_attention(x[0], {s.heads, s.window, s.per_head}, pad, rel_h, rel_w, bias);
              },
              [s](const Arrays& x) { return window_attention_reference(s, x); }};
    test.low = -2;
    test.high = 2;
    test.terms = win_h * win_w + 3 * s.d;
    if (s.relative)
      test.slack = 2;  // logits of tens: their rounding is magnified by as much in the exponential
    test.gradient = !s.relative;
    test.samples = s.samples;
    cases.push_back(test);
  }
}

}  // namespace

void add_attentions(std::vector<Case>& cases) {
  add_attention(cases);
  add_window_attention(cases);
}

}  // namespace bp::testing
