// Cases of convolutions and resizing.
#include "tests/op_cases_parts.h"

namespace bp::testing {
namespace {

void add_conv2d(std::vector<Case>& cases) {
  struct Size {
    i64 n, h, w, c, o, kh, kw, stride, pad;
    bool bias;
    Act act = Act::none;
    int samples = 20;
  };
  const Size sizes[] = {{1, 5, 7, 3, 4, 3, 3, 1, 1, true},
                        {2, 9, 6, 5, 7, 3, 3, 2, 1, true, Act::gelu},
                        {1, 33, 34, 3, 8, 16, 16, 16, 0, true},
                        {2, 6, 8, 1, 4, 2, 2, 2, 0, true, Act::relu},
                        {1, 1, 1, 3, 2, 3, 3, 1, 1, false},
                        {2, 4, 3, 2, 3, 1, 1, 1, 0, true, Act::gelu},
                        {1, 7, 6, 2, 3, 1, 1, 2, 0, false},
                        {1, 3, 2, 17, 5, 5, 3, 1, 3, true},
                        {2, 7, 5, 33, 19, 3, 3, 2, 1, false},
                        {3, 60, 61, 8, 3, 3, 3, 1, 1, true, Act::none, 4},
                        {2, 6, 13, 21, 1, 3, 3, 1, 1, true, Act::gelu},
                        {1, 9, 20, 7, 1, 3, 3, 2, 1, false},
                        {1, 5, 3, 4, 1, 5, 5, 1, 2, true},
                        {1, 7, 6, 3, 1, 6, 5, 1, 2, true}};
  for (const Size& s : sizes) {
    std::vector<Shape> inputs{{s.n, s.h, s.w, s.c}, {s.o, s.kh, s.kw, s.c}};
    if (s.bias) inputs.push_back({s.o});
    Case c{text("conv2d ", inputs[0], inputs[1], " stride ", s.stride, " pad ", s.pad, name_of_act(s.act)),
           inputs,
           [s](const Tensors& x) {
             return conv2d(x[0], x[1], s.bias ? x[2] : Tensor{}, s.stride, s.pad, s.act);
           },
           [s](const Arrays& x) {
             const i64 oh = (s.h + 2 * s.pad - s.kh) / s.stride + 1,
                       ow = (s.w + 2 * s.pad - s.kw) / s.stride + 1;
             Array y(Shape{s.n, oh, ow, s.o});
             for (i64 n = 0; n < s.n; ++n)
               for (i64 oy = 0; oy < oh; ++oy)
                 for (i64 ox = 0; ox < ow; ++ox)
                   for (i64 o = 0; o < s.o; ++o) {
                     double sum = s.bias ? x[2].at(o) : 0;
                     for (i64 ky = 0; ky < s.kh; ++ky)
                       for (i64 kx = 0; kx < s.kw; ++kx) {
                         const i64 iy = oy * s.stride + ky - s.pad, ix = ox * s.stride + kx - s.pad;
                         if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
                         const double* from =
                             &x[0].data[static_cast<std::size_t>(((n * s.h + iy) * s.w + ix) * s.c)];
                         const double* w =
                             &x[1].data[static_cast<std::size_t>(((o * s.kh + ky) * s.kw + kx) * s.c)];
                         for (i64 i = 0; i < s.c; ++i) sum += from[i] * w[i];
                       }
                     y(n, oy, ox, o) = activated(s.act, sum);
                   }
             return y;
           }};
    c.terms = s.kh * s.kw * s.c;
    c.samples = s.samples;
    cases.push_back(c);
  }
}

void add_depthwise(std::vector<Case>& cases) {
  struct Size {
    i64 n, h, w, c, stride;
    bool bias;
    Act act = Act::none;
  };
  const Size sizes[] = {{1, 1, 1, 1, 1, true},
                        {1, 1, 1, 3, 2, false},
                        {2, 5, 9, 7, 1, true},
                        {2, 5, 9, 7, 2, true, Act::gelu},
                        {1, 2, 2, 16, 1, false},
                        {2, 13, 6, 33, 1, true, Act::gelu},
                        {2, 14, 7, 33, 2, true},
                        {1, 7, 12, 64, 1, true},
                        {1, 6, 17, 64, 2, false, Act::relu},
                        {3, 100, 5, 3, 1, true},
                        {3, 201, 5, 3, 2, true}};
  for (const Size& s : sizes) {
    std::vector<Shape> inputs{{s.n, s.h, s.w, s.c}, {3, 3, s.c}};
    if (s.bias) inputs.push_back({s.c});
    Case c{text("depthwise ", inputs[0], " stride ", s.stride, name_of_act(s.act)), inputs,
           [s](const Tensors& x) { return depthwise(x[0], x[1], s.bias ? x[2] : Tensor{}, s.stride, s.act); },
           [s](const Arrays& x) {
             Array y(Shape{s.n, (s.h - 1) / s.stride + 1, (s.w - 1) / s.stride + 1, s.c});
             for (i64 n = 0; n < s.n; ++n)
               for (i64 oy = 0; oy < y.shape[1]; ++oy)
                 for (i64 ox = 0; ox < y.shape[2]; ++ox)
                   for (i64 i = 0; i < s.c; ++i) {
                     double sum = s.bias ? x[2].at(i) : 0;
                     for (i64 ky = 0; ky < 3; ++ky)
                       for (i64 kx = 0; kx < 3; ++kx) {
                         const i64 iy = oy * s.stride + ky - 1, ix = ox * s.stride + kx - 1;
                         if (iy >= 0 && iy < s.h && ix >= 0 && ix < s.w)
                           sum += x[0](n, iy, ix, i) * x[1](ky, kx, i);
                       }
                     y(n, oy, ox, i) = activated(s.act, sum);
                   }
             return y;
           }};
    c.terms = 9;
    c.samples = 20;
    cases.push_back(c);
  }
}

void add_resize(std::vector<Case>& cases) {
  struct Size {
    i64 n, h, w, c, oh, ow;
  };
  for (const Size& s : {Size{1, 4, 6, 1, 7, 5}, Size{2, 1, 1, 3, 3, 4}, Size{1, 8, 8, 17, 4, 4},
                        Size{2, 5, 5, 3, 5, 9}, Size{1, 7, 3, 33, 2, 11}, Size{1, 17, 23, 1, 68, 92},
                        Size{1, 61, 40, 1, 13, 9}, Size{1, 4, 5, 16, 13, 1}, Size{1, 3, 4, 2, 3, 4}}) {
    const Shape shape{s.n, s.h, s.w, s.c};
    Case c{text("resize_bilinear ", shape, " to ", s.oh, "x", s.ow),
           {shape},
           [s](const Tensors& x) { return resize_bilinear(x[0], s.oh, s.ow); },
           [s](const Arrays& x) {
             Array y(Shape{s.n, s.oh, s.ow, s.c});
             const auto source = [](i64 out, i64 in_size, i64 out_size) {
               return std::max(0.0, (static_cast<double>(out) + 0.5) * static_cast<double>(in_size) /
                                            static_cast<double>(out_size) -
                                        0.5);
             };
             for (i64 n = 0; n < s.n; ++n)
               for (i64 oy = 0; oy < s.oh; ++oy)
                 for (i64 ox = 0; ox < s.ow; ++ox) {
                   const double sy = source(oy, s.h, s.oh), sx = source(ox, s.w, s.ow);
                   const i64 y0 = static_cast<i64>(sy), x0 = static_cast<i64>(sx);
                   const i64 y1 = std::min(y0 + 1, s.h - 1), x1 = std::min(x0 + 1, s.w - 1);
                   const double fy = sy - static_cast<double>(y0), fx = sx - static_cast<double>(x0);
                   for (i64 i = 0; i < s.c; ++i)
                     y(n, oy, ox, i) = (1 - fy) * ((1 - fx) * x[0](n, y0, x0, i) + fx * x[0](n, y0, x1, i)) +
                                       fy * ((1 - fx) * x[0](n, y1, x0, i) + fx * x[0](n, y1, x1, i));
                 }
             return y;
           }};
    c.terms = 4;
    cases.push_back(c);
  }
}

}  // namespace

void add_convolutions(std::vector<Case>& cases) {
  add_conv2d(cases);
  add_depthwise(cases);
  add_resize(cases);
}

}  // namespace bp::testing
