// Cases of what only training needs: BatchNorm, the loss, and the norm of the memory's queries.
#include "tests/op_cases_parts.h"

namespace bp::testing {
namespace {

Array batch_norm_reference(const Arrays& x, const std::vector<double>& mean_of,
                           const std::vector<double>& var_of, bool training, double eps, Act act) {
  Array y(x[0].shape);
  const i64 n = y.shape[-1], rows = y.numel() / n;
  for (i64 i = 0; i < n; ++i) {
    double mean = 0, variance = 0;
    for (i64 r = 0; r < rows; ++r) mean += x[0].at(r * n + i) / static_cast<double>(rows);
    for (i64 r = 0; r < rows; ++r)
      variance += std::pow(x[0].at(r * n + i) - mean, 2) / static_cast<double>(rows);
    if (!training) {
      mean = mean_of[static_cast<std::size_t>(i)];
      variance = var_of[static_cast<std::size_t>(i)];
    }
    for (i64 r = 0; r < rows; ++r)
      y.at(r * n + i) =
          activated(act, (x[0].at(r * n + i) - mean) / std::sqrt(variance + eps) * x[1].at(i) + x[2].at(i));
  }
  return y;
}

Case batch_norm_case(const Shape& s, bool training, float eps, Act act = Act::none) {
  std::vector<float> means, vars;
  for (i64 i = 0; i < s[-1]; ++i) {
    means.push_back(static_cast<float>(i % 5) / 4 - 0.5f);
    vars.push_back(0.25f + static_cast<float>(i % 7) / 4);
  }
  Case c{text("batch_norm ", s, training ? " training" : " evaluation", name_of_act(act)),
         {s, {s[-1]}, {s[-1]}},
         [=](const Tensors& x) {
           const Shape channels{s[-1]};
           const Device device = x[0].device();
           return batch_norm(x[0], x[1], x[2], from_values(channels, means, DType::f32, device),
                             from_values(channels, vars, DType::f32, device), training, 0.1f, eps, act);
         },
         [=](const Arrays& x) {
           return batch_norm_reference(x, {means.begin(), means.end()}, {vars.begin(), vars.end()}, training,
                                       static_cast<double>(eps), act);
         }};
  c.terms = s.numel() / s[-1];
  c.slack = act == Act::gelu ? 2 : 1;  // erf's error is absolute
  c.samples = 15;
  return c;
}

void add_batch_norm(std::vector<Case>& cases) {
  // Few rows, tails of channels and of chunks, chunks that the rows fill and that the cache limits.
  for (const Shape& s : {Shape{2, 1}, Shape{3, 7}, Shape{5, 16}, Shape{2, 3, 3, 33}, Shape{2, 9, 7, 64},
                         Shape{1103, 3}, Shape{1, 70, 61, 20}, Shape{150, 771}})
    for (const bool training : {true, false})
      for (const Act act : {Act::none, Act::gelu, Act::relu}) {
        // With many rows a finite difference crosses relu's kink in one of them.
        if (act == Act::relu && s.numel() / s[-1] > 20) continue;
        cases.push_back(batch_norm_case(s, training, 1e-3f, act));
      }
  Case c = batch_norm_case({300, 18}, true, 1e-6f);
  c.name += " far from zero";
  c.low = 99;
  c.high = 101;
  c.slack = 20;  // half an ulp of 100 is 4e-6 of the deviation
  cases.push_back(c);
}

void add_bce_with_logits(std::vector<Case>& cases) {
  for (const i64 n : {1, 5, 16, 67, 4096, 12305}) {
    const auto target = [](i64 i) { return static_cast<double>(i * 5 % 9) / 8; };  // exact in bf16
    Case c{text("bce_with_logits ", n),
           {{n}},
           [=](const Tensors& x) {
             std::vector<float> targets;
             for (i64 i = 0; i < n; ++i) targets.push_back(static_cast<float>(target(i)));
             return bce_with_logits(x[0], from_values({n}, targets, x[0].dtype(), x[0].device()));
           },
           [=](const Arrays& x) {
             Array y{Shape{}};
             for (i64 i = 0; i < n; ++i) {
               const double s = 1 / (1 + std::exp(-x[0].at(i)));
               y.at(0) -=
                   (target(i) * std::log(s) + (1 - target(i)) * std::log(1 - s)) / static_cast<double>(n);
             }
             return y;
           }};
    c.low = -9;
    c.high = 9;
    c.terms = n;
    cases.push_back(c);
  }
}

void add_l2_normalize(std::vector<Case>& cases) {
  // The last one has norms below eps, where only the scale is left.
  struct Size {
    Shape shape;
    float eps;
  };
  for (const Size& s : {Size{{1, 1}, 1e-12f}, Size{{7, 3}, 1e-12f}, Size{{2, 9, 64}, 1e-12f},
                        Size{{1001, 33}, 1e-12f}, Size{{5, 17}, 50.0f}})
    cases.push_back({text("l2_normalize ", s.shape, " eps ", s.eps),
                     {s.shape},
                     [s](const Tensors& x) { return l2_normalize(x[0], s.eps); },
                     [s](const Arrays& x) {
                       Array y(x[0].shape);
                       const i64 n = y.shape[-1];
                       for (i64 r = 0; r < y.numel(); r += n) {
                         double square = 0;
                         for (i64 i = r; i < r + n; ++i) square += x[0].at(i) * x[0].at(i);
                         const double norm = std::max(std::sqrt(square), static_cast<double>(s.eps));
                         for (i64 i = r; i < r + n; ++i) y.at(i) = x[0].at(i) / norm;
                       }
                       return y;
                     }});
}

}  // namespace

void add_training(std::vector<Case>& cases) {
  add_batch_norm(cases);
  add_bce_with_logits(cases);
  add_l2_normalize(cases);
}

}  // namespace bp::testing
