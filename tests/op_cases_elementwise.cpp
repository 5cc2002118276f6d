// Cases of elementwise ops, reductions, norms and ops that move data.
#include "tests/op_cases_parts.h"

namespace bp::testing {
namespace {

// The flat index in `shape`, aligned at the end and repeated along its axes of 1, of entry `flat` of `of`.
i64 broadcast_index(i64 flat, const Shape& of, const Shape& shape) {
  i64 index = 0, stride = 1;
  for (int i = 1; i <= of.rank(); ++i) {
    const i64 at = flat % of[-i];
    flat /= of[-i];
    if (i > shape.rank()) continue;
    if (shape[-i] != 1) index += at * stride;
    stride *= shape[-i];
  }
  return index;
}

// ---- elementwise ----

void add_binary(std::vector<Case>& cases) {
  struct Op {
    const char* name;
    Tensor (*op)(const Tensor&, const Tensor&);
    double (*reference)(double, double);
  };
  const Op ops[] = {{"add", add, [](double a, double b) { return a + b; }},
                    {"sub", sub, [](double a, double b) { return a - b; }},
                    {"mul", mul, [](double a, double b) { return a * b; }},
                    {"div", div, [](double a, double b) { return a / b; }}};
  struct Shapes {
    Shape a, b, y;
  };
  const Shapes shapes[] = {{{1}, {1}, {1}},
                           {{}, {}, {}},
                           {{17}, {17}, {17}},
                           {{40001}, {40001}, {40001}},
                           {{2, 3, 5}, {5}, {2, 3, 5}},
                           {{2, 3, 19}, {3, 1}, {2, 3, 19}},
                           {{4, 1, 6}, {1, 5, 1}, {4, 5, 6}},
                           {{3, 5}, {}, {3, 5}},
                           {{7, 1}, {7, 33}, {7, 33}},
                           {{2, 1, 2, 1, 3}, {5, 1, 4, 1}, {2, 5, 2, 4, 3}},
                           {{1}, {2, 20011}, {2, 20011}},
                           {{3, 17011}, {3, 1}, {3, 17011}}};
  for (const Op& op : ops)
    for (const Shapes& s : shapes) {
      Case c{text(op.name, ' ', s.a, s.b),
             {s.a, s.b},
             [op](const Tensors& x) { return op.op(x[0], x[1]); },
             [op, s](const Arrays& x) {
               Array y(s.y);
               for (i64 i = 0; i < y.numel(); ++i)
                 y.at(i) = op.reference(x[0].at(broadcast_index(i, s.y, s.a)),
                                        x[1].at(broadcast_index(i, s.y, s.b)));
               return y;
             }};
      c.low = 0.25;  // away from division by zero
      c.samples = 10;
      cases.push_back(c);
    }
}

void add_unary(std::vector<Case>& cases) {
  struct Op {
    const char* name;
    Tensor (*op)(const Tensor&);
    double (*reference)(double);
  };
  const Op ops[] = {{"gelu", gelu, gelu_of},
                    {"relu", relu, [](double x) { return std::max(x, 0.0); }},
                    {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
                    {"affine", [](const Tensor& x) { return affine(x, -2.5f, 0.75f); },
                     [](double x) { return -2.5 * x + 0.75; }}};
  for (const Op& op : ops)
    for (const i64 n : {1, 7, 16, 67, 33001}) {
      Case c{text(op.name, ' ', n),
             {{n}},
             [op](const Tensors& x) { return op.op(x[0]); },
             [op](const Arrays& x) {
               Array y(x[0].shape);
               for (i64 i = 0; i < y.numel(); ++i) y.at(i) = op.reference(x[0].at(i));
               return y;
             }};
      c.low = -8;
      c.high = 8;
      cases.push_back(c);
    }
}

// ---- reductions ----

void add_reductions(std::vector<Case>& cases) {
  struct Shapes {
    Shape x, y;
  };
  const Shapes shapes[] = {{{5}, {}},
                           {{3, 5, 7}, {7}},
                           {{3, 5, 7}, {3, 1, 1}},
                           {{3, 5, 7}, {1, 5, 1}},
                           {{3, 5, 7}, {3, 1, 7}},
                           {{2, 3, 4, 5}, {2, 1, 4, 1}},
                           {{2, 3, 4, 5}, {1, 3, 1, 5}},
                           {{1, 1}, {1}},
                           {{70001}, {1}},
                           {{3001, 17}, {17}},
                           {{2, 9001, 3}, {2, 1, 3}},
                           {{33, 5003}, {33, 1}},
                           {{3, 6, 5003}, {3, 1, 5003}},
                           {{2, 3, 4099}, {3, 1}},
                           {{35, 2, 4099}, {1, 2, 1}},
                           {{131, 4099}, {1, 4099}}};
  for (const Shapes& s : shapes) {
    Case c{text("sum_to ", s.x, s.y),
           {s.x},
           [s](const Tensors& x) { return sum_to(x[0], s.y); },
           [s](const Arrays& x) {
             Array y(s.y);
             for (i64 i = 0; i < x[0].numel(); ++i) y.at(broadcast_index(i, s.x, s.y)) += x[0].at(i);
             return y;
           }};
    c.terms = s.x.numel() / s.y.numel();
    c.samples = 10;
    cases.push_back(c);
  }
  for (const bool average : {false, true}) {
    Case c{average ? "mean" : "sum",
           {{13, 311}},
           [=](const Tensors& x) { return average ? mean(x[0]) : sum(x[0]); },
           [=](const Arrays& x) {
             Array y{Shape{}};
             for (i64 i = 0; i < x[0].numel(); ++i) y.at(0) += x[0].at(i) / (average ? 13 * 311 : 1);
             return y;
           }};
    c.terms = 13 * 311;
    cases.push_back(c);
  }
}

void add_softmax(std::vector<Case>& cases) {
  for (const Shape& s : {Shape{1, 1}, Shape{3, 7}, Shape{5, 17}, Shape{2, 3, 64}, Shape{23, 1009},
                         Shape{37, 16}, Shape{2100, 7}, Shape{50, 2}}) {
    Case c{text("softmax ", s),
           {s},
           [](const Tensors& x) { return softmax(x[0]); },
           [](const Arrays& x) {
             Array y(x[0].shape);
             const i64 n = y.shape[-1];
             for (i64 r = 0; r < y.numel(); r += n) {
               double total = 0;
               for (i64 i = r; i < r + n; ++i) total += std::exp(x[0].at(i));
               for (i64 i = r; i < r + n; ++i) y.at(i) = std::exp(x[0].at(i)) / total;
             }
             return y;
           }};
    c.low = -9;
    c.high = 9;
    c.terms = s[-1];
    cases.push_back(c);
  }
}

Array layer_norm_reference(const Arrays& x, double eps) {
  Array y(x[0].shape);
  const i64 n = y.shape[-1];
  for (i64 r = 0; r < y.numel(); r += n) {
    double mean = 0, variance = 0;
    for (i64 i = 0; i < n; ++i) mean += x[0].at(r + i) / static_cast<double>(n);
    for (i64 i = 0; i < n; ++i) variance += std::pow(x[0].at(r + i) - mean, 2) / static_cast<double>(n);
    for (i64 i = 0; i < n; ++i)
      y.at(r + i) = (x[0].at(r + i) - mean) / std::sqrt(variance + eps) * x[1].at(i) + x[2].at(i);
  }
  return y;
}

void add_layer_norm(std::vector<Case>& cases) {
  for (const Shape& s :
       {Shape{3, 1}, Shape{1, 7}, Shape{2, 5, 33}, Shape{1103, 16}, Shape{70, 160}, Shape{5, 771}}) {
    Case c{text("layer_norm ", s),
           {s, {s[-1]}, {s[-1]}},
           [](const Tensors& x) { return layer_norm(x[0], x[1], x[2], 1e-3f); },
           [](const Arrays& x) { return layer_norm_reference(x, 1e-3f); }};
    c.terms = s[-1];
    cases.push_back(c);
  }
  Case c{"layer_norm far from zero",
         {{11, 65}, {65}, {65}},
         [](const Tensors& x) { return layer_norm(x[0], x[1], x[2], 1e-6f); },
         [](const Arrays& x) { return layer_norm_reference(x, 1e-6f); }};
  c.low = 99;
  c.high = 101;
  c.slack = 20;  // half an ulp of 100 is 4e-6 of the deviation
  c.terms = 65;
  cases.push_back(c);
}

// ---- moving data ----

void add_moves(std::vector<Case>& cases) {
  struct Permutation {
    Shape shape;
    std::initializer_list<int> order;
  };
  static const Permutation permutations[] = {{{5}, {0}},
                                             {{5, 7}, {1, 0}},
                                             {{2, 3, 5, 7}, {0, 2, 3, 1}},
                                             {{3, 65, 67}, {0, 2, 1}},
                                             {{1, 4, 1}, {2, 0, 1}},
                                             {{67, 3, 41}, {2, 1, 0}},
                                             {{2, 3, 4, 5}, {1, 0, 2, 3}},
                                             {{3, 70001}, {1, 0}},
                                             {{2, 3, 5, 2, 2, 3}, {0, 1, 3, 2, 4, 5}},
                                             {{2, 3, 2, 5, 2, 3}, {5, 3, 0, 4, 1, 2}},
                                             {{3, 9, 2, 2, 2, 2}, {0, 2, 4, 1, 3, 5}}};
  for (const Permutation& p : permutations) {
    std::vector<int> order(p.order);
    std::string name = text("permute ", p.shape, " to");
    for (int axis : order) name += text(' ', axis);
    const auto axes = p.order;
    cases.push_back({name,
                     {p.shape},
                     [axes](const Tensors& x) { return permute(x[0], axes); },
                     [order](const Arrays& x) {
                       const Shape& from = x[0].shape;
                       Shape shape;
                       for (int axis : order) shape.push_back(from[axis]);
                       Array y(shape);
                       for (i64 i = 0; i < y.numel(); ++i) {
                         i64 index[Shape::kMaxRank] = {}, rest = i;
                         for (int a = shape.rank() - 1; a >= 0; --a) {
                           index[order[static_cast<std::size_t>(a)]] = rest % shape[a];
                           rest /= shape[a];
                         }
                         i64 flat = 0;
                         for (int a = 0; a < from.rank(); ++a) flat = flat * from[a] + index[a];
                         y.at(i) = x[0].at(flat);
                       }
                       return y;
                     }});
  }
  struct Join {
    int axis;
    std::vector<Shape> parts;
  };
  for (const Join& j : {Join{0, {{2, 3}, {1, 3}, {4, 3}}}, Join{1, {{2, 3, 5}, {2, 1, 5}}},
                        Join{-1, {{3, 2}, {3, 7}, {3, 1}}}, Join{1, {{1, 4099}, {1, 17}}},
                        Join{2, {{2, 3, 20, 4}, {2, 3, 33, 4}}}})
    cases.push_back({text("concat along ", j.axis, " of ", j.parts[0]), j.parts,
                     [j](const Tensors& x) { return concat(x, j.axis); },
                     [j](const Arrays& x) {
                       Shape shape = x[0].shape;
                       for (std::size_t i = 1; i < x.size(); ++i) shape[j.axis] += x[i].shape[j.axis];
                       Array y(shape);
                       const int axis = j.axis < 0 ? j.axis + shape.rank() : j.axis;
                       i64 outer = 1, at = 0;
                       for (int a = 0; a < axis; ++a) outer *= shape[a];
                       for (i64 o = 0; o < outer; ++o)
                         for (const Array& part : x) {
                           const i64 n = part.numel() / outer;
                           for (i64 i = 0; i < n; ++i) y.at(at++) = part.at(o * n + i);
                         }
                       return y;
                     }});
  struct Cut {
    Shape shape;
    int axis;
    i64 begin, end;
  };
  for (const Cut& s : {Cut{{5, 3}, 0, 1, 4}, Cut{{5, 3}, 1, 1, 2}, Cut{{2, 7, 5}, 1, 3, 7},
                       Cut{{2, 3, 70}, -1, 33, 70}, Cut{{4, 5}, 1, 0, 5}})
    cases.push_back({text("slice ", s.shape, " axis ", s.axis),
                     {s.shape},
                     [s](const Tensors& x) { return slice(x[0], s.axis, s.begin, s.end); },
                     [s](const Arrays& x) {
                       Shape shape = s.shape;
                       shape[s.axis] = s.end - s.begin;
                       Array y(shape);
                       i64 inner = 1;
                       for (int a = shape.rank() - 1; a > (s.axis < 0 ? s.axis + shape.rank() : s.axis); --a)
                         inner *= shape[a];
                       i64 at = 0;
                       for (i64 i = 0; i < x[0].numel(); ++i) {
                         const i64 along = i / inner % s.shape[s.axis];
                         if (along >= s.begin && along < s.end) y.at(at++) = x[0].at(i);
                       }
                       return y;
                     }});
  cases.push_back({"reshape, slice, entry",
                   {{4, 6, 5}},
                   [](const Tensors& x) {
                     return x[0].reshape({8, -1}).slice(2, 7)[3];
                   },
                   [](const Arrays& x) {
                     Array y(Shape{15});
                     for (i64 i = 0; i < 15; ++i) y.at(i) = x[0].at(5 * 15 + i);
                     return y;
                   }});
}

}  // namespace

void add_elementwise(std::vector<Case>& cases) {
  add_binary(cases);
  add_unary(cases);
  add_reductions(cases);
  add_softmax(cases);
  add_layer_norm(cases);
  add_moves(cases);
}

}  // namespace bp::testing
