#include "bench/roofline.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "bench/svg.h"
#include "engine/error.h"

namespace bp::bench {
namespace {

constexpr double kWidth = 1200, kHeight = 800;
constexpr double kLeft = 100, kRight = 1180, kTop = 60, kBottom = 700;
constexpr double kLine = 12;  // height of a label

struct Box {
  double x0, y0, x1, y1;
  bool meets(const Box& b) const { return x0 < b.x1 && b.x0 < x1 && y0 < b.y1 && b.y0 < y1; }
};

struct Axes {  // logarithms to base 10 of operations per byte and per second
  double x0, x1, y0, y1;
  double x(double v) const { return kLeft + (std::log10(v) - x0) / (x1 - x0) * (kRight - kLeft); }
  double y(double v) const { return kBottom - (std::log10(v) - y0) / (y1 - y0) * (kBottom - kTop); }
};

struct Dot {
  const Row* row;
  double x, y;
};

double intensity(const Row& r) {
  return r.work.ops / r.work.bytes;
}
double rate(const Row& r) {
  return r.work.ops / r.time.median;
}

Axes axes_for(const std::vector<const Row*>& rows, const Ceilings& c) {
  Axes a{1e9, -1e9, 1e9, -1e9};
  const auto widen = [&](double x, double y) {
    a.x0 = std::min(a.x0, std::log10(x)), a.x1 = std::max(a.x1, std::log10(x));
    a.y0 = std::min(a.y0, std::log10(y)), a.y1 = std::max(a.y1, std::log10(y));
  };
  for (const Row* r : rows) widen(intensity(*r), rate(*r));
  for (const auto& [type, peak] : c.peak) widen(peak / c.bandwidth(), peak);
  return {a.x0 - 0.3, a.x1 + 0.4, a.y0 - 0.3, a.y1 + 0.2};
}

void draw_grid(Svg& svg, const Axes& a) {
  for (int e = static_cast<int>(std::ceil(a.x0)); e <= a.x1; ++e) {
    const double x = a.x(std::pow(10, e));
    svg.line(x, kTop, x, kBottom, "grid");
    svg.text(x, kBottom + 18, text(std::pow(10, e)), "axis", "text-anchor=\"middle\"");
  }
  for (int e = static_cast<int>(std::ceil(a.y0)); e <= a.y1; ++e) {
    const double y = a.y(std::pow(10, e));
    svg.line(kLeft, y, kRight, y, "grid");
    svg.text(kLeft - 8, y + 4, in_ops(std::pow(10, e)), "axis", "text-anchor=\"end\"");
  }
  svg.text((kLeft + kRight) / 2, kBottom + 38, "operations per byte", "axis", "text-anchor=\"middle\"");
}

// The slope of bandwidth up to the highest roof, and a roof for each type.
void draw_roofs(Svg& svg, const Axes& a, const Ceilings& c, std::vector<Box>& taken) {
  double top = 0;
  for (const auto& [type, peak] : c.peak) {
    if (peak == top) continue;
    top = std::max(top, peak);
    const double x = a.x(peak / c.bandwidth()), y = a.y(peak);
    svg.line(x, y, kRight, y, "roof");
    const std::string label = type + ": " + in_ops(peak);
    svg.text(kRight, y - 5, label, "axis", "text-anchor=\"end\"");
    taken.push_back({kRight - 1.2 * Svg::width_of(label), y - 16, kRight, y + 2});
    taken.push_back({x, y - 2, kRight, y + 2});
  }
  const double x0 = std::pow(10, a.x0), y0 = x0 * c.bandwidth();
  const double begin = y0 < std::pow(10, a.y0) ? std::pow(10, a.y0) / c.bandwidth() : x0;
  const double px = a.x(begin), py = a.y(begin * c.bandwidth()), qx = a.x(top / c.bandwidth()), qy = a.y(top);
  svg.line(px, py, qx, qy, "roof");
  for (double t = 0; t < 1; t += 0.01) {
    const double x = px + t * (qx - px), y = py + t * (qy - py);
    taken.push_back({x - 3, y - 3, x + 3, y + 3});
  }
  const double angle = std::atan2(qy - py, qx - px) * 180 / std::numbers::pi;
  const double lx = px + 0.25 * (qx - px), ly = py + 0.25 * (qy - py) - 8;
  svg.text(lx, ly, in_bytes(c.bandwidth()), "axis",
           text("transform=\"rotate(", angle, ' ', lx, ' ', ly, ")\""));
}

// Beside the dot where that is free, else as near as may be, with a line to it.
void place_label(Svg& svg, const std::string& label, const std::string& style, double x, double y,
                 std::vector<Box>& taken) {
  const double w = Svg::width_of(label);
  for (double away = 0; away < 400; away += 6) {
    for (const double angle :
         {0.0, 180.0, -45.0, 45.0, -135.0, 135.0, -90.0, 90.0, -20.0, 20.0, 160.0, -160.0}) {
      const double radians = angle * std::numbers::pi / 180, dx = std::cos(radians), dy = std::sin(radians);
      const double cx = x + dx * (9 + away), cy = y + dy * (9 + away);
      const double left = dx > 0.3 ? cx : dx < -0.3 ? cx - w : cx - w / 2;
      const Box box{left - 1, cy - kLine / 2, left + w + 1, cy + kLine / 2};
      if (box.x0 < kLeft || box.x1 > kRight || box.y0 < kTop || box.y1 > kBottom) continue;
      if (std::any_of(taken.begin(), taken.end(), [&](const Box& b) { return b.meets(box); })) continue;
      taken.push_back(box);
      if (away > 6) svg.line(x, y, cx, cy, "leader");
      svg.text(left, cy + 3.5, label, "", "style=\"fill:" + style + "\"");
      return;
    }
  }
}

}  // namespace

std::string roofline(const Report& report) {
  std::vector<const Row*> rows;
  std::map<std::string, std::size_t> ops;
  std::map<std::string, bool> types;
  for (const Row& r : report.rows) {
    if (r.status != Row::Status::timed || r.work.ops <= 0) continue;
    rows.push_back(&r);
    ops.emplace(r.op, ops.size());
    types[r.dtype] = true;
  }
  require(!rows.empty() && report.ceilings.bandwidth() > 0, "roofline: nothing was timed");

  Svg svg(kWidth, kHeight);
  const Axes axes = axes_for(rows, report.ceilings);
  svg.text(kLeft, 28, "Roofline: " + report.machine.name + " (" + report.machine.device + ")", "title");
  svg.text(kLeft, 46,
           "commit " + report.machine.commit + ", " + report.machine.date +
               "; a column of dots is one shape, its numbers are the ladder's rungs, e the kernel in use" +
               (types.size() > 1 ? "; squares are bf16" : ""),
           "faint");
  draw_grid(svg, axes);
  std::vector<Box> taken;
  draw_roofs(svg, axes, report.ceilings, taken);

  std::map<std::string, std::vector<Dot>> problems;
  for (const Row* r : rows) {
    const Dot dot{r, axes.x(intensity(*r)), axes.y(rate(*r))};
    problems[r->op + "/" + r->shape + "/" + r->dtype].push_back(dot);
    taken.push_back({dot.x - 6, dot.y - 6, dot.x + 6, dot.y + 6});
  }
  // Labels first, so that lines to them go below the dots.
  for (const auto& [name, dots] : problems) {
    const Dot& top = *std::min_element(dots.begin(), dots.end(), [](auto& a, auto& b) { return a.y < b.y; });
    place_label(svg, top.row->shape, colour(ops[top.row->op]), top.x, top.y, taken);
  }
  for (const auto& [name, dots] : problems)
    for (const Dot& d : dots) {
      const std::string fill = colour(ops[d.row->op]);
      const std::string tip = d.row->name() + ": " + in_seconds(d.row->time.median) + ", " +
                              in_ops(rate(*d.row)) +
                              text(", ", std::round(1000 * d.row->fraction) / 10, " % of the ceiling");
      if (d.row->dtype == "bf16")
        svg.rect(d.x - 5.5, d.y - 5.5, 11, 11, fill, tip);
      else
        svg.circle(d.x, d.y, 6, fill, tip);
      svg.text(d.x, d.y + 3, d.row->version.substr(0, 1), "inside",
               "text-anchor=\"middle\" pointer-events=\"none\" font-size=\"9\"");
    }

  double x = kLeft;
  double y = kBottom + 62;
  for (const auto& [op, index] : ops) {
    const double w = Svg::width_of(op) + 30;
    if (x + w > kRight) x = kLeft, y += 18;
    svg.rect(x, y - 8, 10, 10, colour(index));
    svg.text(x + 14, y + 1, op);
    x += w;
  }
  return svg.finish();
}

}  // namespace bp::bench
