// Cases of matrix products.
#include "tests/op_cases_parts.h"

namespace bp::testing {
namespace {

// One product of matrices at offsets of a, b and y.
void multiply(const double* a, const double* b, double* y, i64 m, i64 n, i64 k, bool ta, bool tb) {
  for (i64 i = 0; i < m; ++i)
    for (i64 p = 0; p < k; ++p) {
      const double factor = ta ? a[p * m + i] : a[i * k + p];
      for (i64 j = 0; j < n; ++j) y[i * n + j] += factor * (tb ? b[j * k + p] : b[p * n + j]);
    }
}

void add_matmul(std::vector<Case>& cases) {
  struct Size {
    i64 m, n, k;
    Shape lead;
    bool one_b = false;
    int samples = 20;
  };
  const Size sizes[] = {{1, 1, 1, {}},
                        {5, 7, 3, {}},
                        {14, 32, 17, {}},
                        {15, 33, 385, {}},
                        {67, 129, 200, {}, false, 5},
                        {521, 3, 7, {}},
                        {2, 523, 11, {}},
                        {3, 7, 541, {}},
                        {227, 391, 389, {}, false, 2},
                        {16, 40, 1, {}},
                        {27, 48, 1100, {}, false, 3},  // several groups of k
                        {73, 203, 530, {}, false, 2},  // and several blocks
                        {9, 17, 5, {3}},
                        {3, 33, 9, {2, 3}},
                        {1, 5, 40, {7}},
                        {9, 17, 5, {3}, true},
                        {1, 3, 4, {2, 5}, true}};
  for (const Size& s : sizes)
    for (int t = 0; t < 4; ++t) {
      const bool ta = t & 1, tb = t & 2;
      const auto matrices = [](Shape lead, i64 rows, i64 cols) {
        lead.push_back(rows);
        lead.push_back(cols);
        return lead;
      };
      const Shape a = matrices(s.lead, ta ? s.k : s.m, ta ? s.m : s.k), y_shape = matrices(s.lead, s.m, s.n);
      const Shape b = matrices(s.one_b ? Shape{} : s.lead, tb ? s.n : s.k, tb ? s.k : s.n);
      Case c{text("matmul ", a, ta ? "^T" : "", b, tb ? "^T" : ""),
             {a, b},
             [=](const Tensors& x) { return matmul(x[0], x[1], ta, tb); },
             [=](const Arrays& x) {
               Array y(y_shape);
               for (i64 i = 0; i < s.lead.numel(); ++i)
                 multiply(&x[0].data[static_cast<std::size_t>(i * s.m * s.k)],
                          &x[1].data[static_cast<std::size_t>(s.one_b ? 0 : i * s.k * s.n)],
                          &y.data[static_cast<std::size_t>(i * s.m * s.n)], s.m, s.n, s.k, ta, tb);
               return y;
             }};
      c.terms = s.k;
      c.samples = s.samples;
      c.large = y_shape.numel() * s.k > 4000000;
      cases.push_back(c);
    }
}

void add_linear(std::vector<Case>& cases) {
  const Shape xs[] = {{3}, {5, 3}, {2, 9, 17}, {3, 20, 65}};
  const i64 outs[] = {4, 1, 33, 70};
  for (int i = 0; i < 4; ++i)
    for (int variant = 0; variant < 12; ++variant) {
      const bool bias = variant & 1, residual = variant & 2;
      const Act act = static_cast<Act>(variant / 4);
      Shape x = xs[i], y = x;
      const i64 in = x[-1], out = outs[i];
      y[-1] = out;
      std::vector<Shape> inputs{x, {out, in}};
      if (bias) inputs.push_back({out});
      if (residual) inputs.push_back(y);
      Case c{
          text("linear ", x, " to ", out, bias ? " bias" : "", name_of_act(act), residual ? " residual" : ""),
          inputs,
          [=](const Tensors& t) {
            return linear(t[0], t[1], bias ? t[2] : Tensor{}, act, residual ? t.back() : Tensor{});
          },
          [=](const Arrays& t) {
            Array result(y);
            for (i64 r = 0; r < y.numel() / out; ++r)
              for (i64 o = 0; o < out; ++o) {
                double sum = bias ? t[2].at(o) : 0;
                for (i64 k = 0; k < in; ++k) sum += t[0].at(r * in + k) * t[1].at(o * in + k);
                result.at(r * out + o) = activated(act, sum) + (residual ? t.back().at(r * out + o) : 0);
              }
            return result;
          }};
      c.terms = in;
      c.samples = 10;
      cases.push_back(c);
    }
}

}  // namespace

void add_products(std::vector<Case>& cases) {
  add_matmul(cases);
  add_linear(cases);
}

}  // namespace bp::testing
