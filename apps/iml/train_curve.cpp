// The curves of a training run as a picture.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/iml/draw.h"
#include "apps/iml/train_log.h"

namespace bp {
namespace {

constexpr i64 kWidth = 1000, kHeight = 320, kLeft = 70, kRight = 20, kTop = 40, kBottom = 40;
constexpr Colour kPaper{255, 255, 255}, kInk{40, 40, 40}, kGrid{225, 225, 225}, kFaint{190, 205, 235},
    kStrong{30, 80, 190}, kGood{20, 140, 60};

struct Point {
  double x, y;
};

// A panel of the picture with its own vertical range.
class Panel {
 public:
  Panel(Tensor& picture, i64 top, double total, double low, double high)
      : picture_(picture), top_(top), total_(std::max(1.0, total)), low_(low), high_(high) {}

  void frame(std::string_view title) {
    for (int i = 0; i <= 4; ++i) {
      const double value = low_ + (high_ - low_) * i / 4;
      line({0, value}, {total_, value}, kGrid);
      char label[16];
      std::snprintf(label, sizeof label, "%.3g", value);
      draw_text(picture_, 8, row(value) - 6, label, 1, kInk, kPaper);
    }
    for (int i = 0; i <= 5; ++i) {
      char label[24];
      std::snprintf(label, sizeof label, "%.0f", total_ * i / 5);
      draw_text(picture_, column(total_ * i / 5) - 10, top_ + kHeight - kBottom + 8, label, 1, kInk, kPaper);
    }
    draw_text(picture_, kLeft, top_ + 10, title, 2, kInk, kPaper);
  }

  void curve(const std::vector<Point>& points, Colour colour) {
    for (std::size_t i = 1; i < points.size(); ++i) line(points[i - 1], points[i], colour);
  }
  void dots(const std::vector<Point>& points, Colour colour) {
    for (const Point& p : points)
      for (i64 dy = -2; dy <= 2; ++dy)
        for (i64 dx = -2; dx <= 2; ++dx) set(column(p.x) + dx, row(p.y) + dy, colour);
  }

 private:
  i64 column(double x) const {
    return kLeft + static_cast<i64>(std::lround(x / total_ * static_cast<double>(kWidth - kLeft - kRight)));
  }
  i64 row(double y) const {
    const double share = std::clamp((y - low_) / (high_ - low_), 0.0, 1.0);
    return top_ + kHeight - kBottom -
           static_cast<i64>(std::lround(share * static_cast<double>(kHeight - kTop - kBottom)));
  }
  void set(i64 x, i64 y, Colour c) {
    if (x < 0 || x >= picture_.dim(1) || y < 0 || y >= picture_.dim(0)) return;
    u8* p = picture_.data<u8>() + (y * picture_.dim(1) + x) * 3;
    p[0] = c.r, p[1] = c.g, p[2] = c.b;
  }
  void line(Point a, Point b, Colour colour) {
    const i64 x0 = column(a.x), y0 = row(a.y), x1 = column(b.x), y1 = row(b.y);
    const i64 steps = std::max<i64>({1, std::abs(x1 - x0), std::abs(y1 - y0)});
    for (i64 i = 0; i <= steps; ++i) set(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps, colour);
  }

  Tensor& picture_;
  i64 top_;
  double total_, low_, high_;
};

}  // namespace

Tensor draw_curves(const TrainLog& log, i64 total_steps) {
  Tensor picture = full({2 * kHeight, kWidth, 3}, 255, DType::u8);
  std::vector<Point> each, smooth, f1, best;
  double highest = 1e-6, mean = 0;
  for (std::size_t i = 0; i < log.steps.size(); ++i) {
    const StepRecord& r = log.steps[i];
    mean = i == 0 ? r.loss : mean + (r.loss - mean) * std::max(0.02, 1.0 / static_cast<double>(i + 1));
    each.push_back({static_cast<double>(r.step), r.loss});
    smooth.push_back({static_cast<double>(r.step), mean});
    // The first steps of a net that knows nothing would squeeze all others into the bottom.
    if (i >= 20 || log.steps.size() <= 20) highest = std::max(highest, r.loss);
  }
  for (const Validation& v : log.validations) {
    f1.push_back({static_cast<double>(v.step), v.f1});
    best.push_back({static_cast<double>(v.step), v.best_f1});
  }
  const auto total = static_cast<double>(total_steps);
  Panel loss(picture, 0, total, 0, highest);
  loss.frame("loss");
  loss.curve(each, kFaint);
  loss.curve(smooth, kStrong);
  Panel score(picture, kHeight, total, 0, 1);
  score.frame("validation F1: at 0.5 (blue), at the best threshold (green)");
  score.curve(f1, kStrong);
  score.dots(f1, kStrong);
  score.curve(best, kGood);
  score.dots(best, kGood);
  return picture;
}

}  // namespace bp
