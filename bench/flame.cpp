#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>

#include "bench/profile.h"
#include "bench/report.h"
#include "bench/svg.h"

namespace bp::bench {
namespace {

constexpr double kWidth = 1400, kMargin = 20, kRow = 20, kTop = 70;
constexpr std::size_t kColours = 15;  // kernels that take less time than so many others share one
constexpr const char* kOthers = "#8d949c";

// A part of the network or, without parts of its own, a kernel.
struct Piece {
  std::string name, op;  // op: of a kernel
  double seconds = 0, floor = 0;
  int calls = 0;
  std::vector<std::unique_ptr<Piece>> pieces;

  Piece& child(const std::string& wanted, const std::string& kernel) {
    // Kernels stand where they were called; parts are one piece each.
    for (const auto& p : pieces)
      if (p->name == wanted && p->op == kernel) return *p;
    pieces.push_back(std::make_unique<Piece>());
    pieces.back()->name = wanted, pieces.back()->op = kernel;
    return *pieces.back();
  }
  void add(const KernelCall& c, double least) { seconds += c.seconds, floor += least, ++calls; }
};

void add(Piece& root, const KernelCall& c, double least) {
  Piece* at = &root;
  at->add(c, least);
  for (std::size_t begin = 0; begin < c.part.size();) {
    const std::size_t end = std::min(c.part.find('/', begin), c.part.size());
    at = &at->child(c.part.substr(begin, end - begin), "");
    at->add(c, least);
    begin = end + 1;
  }
  at->child(c.op + " " + c.sizes + " " + name_of(c.dtype), c.op).add(c, least);
}

int depth(const Piece& p) {
  int deepest = 0;
  for (const auto& q : p.pieces) deepest = std::max(deepest, depth(*q));
  return deepest + 1;
}

std::string percent(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * x);
  return text;
}

class Painter {
 public:
  Painter(Svg& svg, double all, const std::map<std::string, std::string>& colours)
      : svg_(svg), all_(all), colours_(colours) {}

  void draw(const Piece& p, double x, int level) {
    const double w = p.seconds / all_ * (kWidth - 2 * kMargin), y = kTop + level * kRow;
    if (w < 0.2) return;
    const std::string tip = p.name + ": " + in_seconds(p.seconds) + ", " + percent(p.seconds / all_) +
                            " of all, " + std::to_string(p.calls) +
                            (p.calls == 1 ? " kernel, " : " kernels, ") + percent(p.floor / p.seconds) +
                            " of the ceiling";
    svg_.rect(x, y, w, kRow - 1, p.op.empty() ? (level % 2 ? "#6b7785" : "#566270") : colours_.at(p.op), tip);
    const auto fits = static_cast<std::size_t>(std::max(0.0, (w - 6) / Svg::width_of("x")));
    const std::string& shown = p.name;
    if (fits >= 3)
      svg_.text(x + 3, y + 13, shown.size() <= fits ? shown : shown.substr(0, fits - 1) + "…", "inside",
                "pointer-events=\"none\"");
    for (const auto& q : p.pieces) {
      draw(*q, x, level + 1);
      x += q->seconds / all_ * (kWidth - 2 * kMargin);
    }
  }

 private:
  Svg& svg_;
  double all_;
  const std::map<std::string, std::string>& colours_;
};

}  // namespace

std::string flame(const NetProfile& profile, const Ceilings& ceilings) {
  Piece root;
  root.name = profile.net;
  std::map<std::string, double> ops;
  for (const KernelCall& c : profile.calls) {
    add(root, c, ceilings.floor(c.work, c.dtype));
    ops[c.op] += c.seconds;
  }
  // The most expensive kernels get colours that differ most.
  std::vector<std::pair<std::string, double>> sorted(ops.begin(), ops.end());
  std::sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.second > b.second; });
  std::map<std::string, std::string> colours;
  double others = 0;
  for (const auto& [op, seconds] : sorted) {
    others += colours.size() < kColours ? 0 : seconds;
    colours.emplace(op, colours.size() < kColours ? colour(colours.size()) : kOthers);
  }

  const double all = profile.in_kernels(), height = kTop + depth(root) * kRow + 80;
  Svg svg(kWidth, height);
  svg.text(kMargin, 26, profile.net + ", batch " + std::to_string(profile.batch) + ", " + profile.dtype,
           "title");
  svg.text(kMargin, 46,
           in_seconds(all) + " in " + std::to_string(profile.calls.size()) + " kernels, " +
               in_seconds(profile.whole) + " end to end, " + percent(root.floor / all) +
               " of the ceilings; kernels of one kind in one part stand together",
           "axis");
  Painter(svg, all, colours).draw(root, kMargin, 0);

  double x = kMargin, y = height - 60;
  const auto explain = [&](const std::string& label, const std::string& fill) {
    const double w = Svg::width_of(label) + 30;
    if (x + w > kWidth - kMargin) x = kMargin, y += 18;
    svg.rect(x, y - 8, 10, 10, fill);
    svg.text(x + 14, y + 1, label);
    x += w;
  };
  for (std::size_t i = 0; i < std::min(kColours, sorted.size()); ++i)
    explain(sorted[i].first + " " + percent(sorted[i].second / all), colours[sorted[i].first]);
  if (sorted.size() > kColours) explain("others " + percent(others / all), kOthers);
  return svg.finish();
}

}  // namespace bp::bench
