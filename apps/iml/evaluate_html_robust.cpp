// The part of the report that shows what blur, noise, JPEG and social networks leave of the scores.
#include <cstdio>

#include "apps/iml/evaluate_html.h"
#include "engine/error.h"

namespace bp {
namespace {

std::string number(const std::optional<double>& v, int digits) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, v.value_or(0));
  return v ? buffer : "&ndash;";
}

struct Level {
  std::string name;
  double f1 = 0;
  std::optional<double> auc;
};

// F1 (red) and AUC (blue) at equal steps from level to level; all ones' F1 dashed.
std::string chart(const std::string& caption, const std::string& unit, const std::vector<Level>& levels,
                  double chance_f1) {
  constexpr double kWidth = 250, kHeight = 200, kLeft = 40, kTop = 12;
  const auto x = [&](std::size_t i) {
    return kLeft + kWidth * static_cast<double>(i) / static_cast<double>(levels.size() - 1);
  };
  const auto y = [&](double v) { return kTop + (1 - v) * kHeight; };
  std::string svg =
      text("<figure><svg width=310 height=256 font-size=11 fill=\"#4b5568\" role=img aria-label=\"", caption,
           "\"><g stroke=\"#dfe3ea\">");
  for (int i = 0; i <= 5; ++i)
    svg += text("<path d=\"M", kLeft, " ", y(i / 5.0), "H", kLeft + kWidth, "\"/>");
  svg += "</g>";
  for (int i = 0; i <= 5; ++i)
    svg += text("<text text-anchor=end x=", kLeft - 5, " y=", y(i / 5.0) + 4, ">", i / 5.0, "</text>");
  for (std::size_t i = 0; i < levels.size(); ++i)
    svg += text("<text text-anchor=middle x=", x(i), " y=", y(0) + 15, ">", levels[i].name, "</text>");
  svg += text("<text text-anchor=middle x=", kLeft + kWidth / 2, " y=", y(0) + 32, ">", unit,
              "</text><path stroke=\"#9aa3b2\" stroke-dasharray=\"5 4\" d=\"M", kLeft, " ", y(chance_f1), "H",
              kLeft + kWidth, "\"/>");
  std::string f1, auc;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    f1 += text(x(i), ",", y(levels[i].f1), " ");
    if (levels[i].auc) auc += text(x(i), ",", y(*levels[i].auc), " ");
  }
  svg += "<polyline fill=none stroke=\"#c2185b\" stroke-width=2 points=\"" + f1 + "\"/>";
  if (!auc.empty()) svg += "<polyline fill=none stroke=\"#2864c8\" stroke-width=2 points=\"" + auc + "\"/>";
  return svg + "</svg><figcaption>" + caption + "</figcaption></figure>\n";
}

std::string family_chart(const SetScores& s, const std::string& family, const std::string& caption,
                         const std::string& unit) {
  std::vector<Level> levels{{"none", s.f1, s.auc}};
  for (const PerturbedScores& p : s.perturbed)
    if (p.family == family) levels.push_back({p.name, p.f1, p.auc});
  return levels.size() > 1 ? chart(caption, unit, levels, s.ones_f1) : "";
}

}  // namespace

std::string robustness_html(const SetScores& s) {
  if (s.perturbed.empty()) return "";
  const std::string charts = family_chart(s, "blur", "Gaussian blur", "side of the kernel") +
                             family_chart(s, "noise", "Gaussian noise", "variance") +
                             family_chart(s, "jpeg", "JPEG", "quality");
  std::string html;
  if (!charts.empty())
    html +=
        "<h3>Robustness</h3><p><small>F1 in red, AUC in blue; dashed: F1 of all ones.</small></p>\n"
        "<div class=curves>" +
        charts + "</div>\n";
  std::string rows;
  for (const PerturbedScores& p : s.perturbed)
    if (p.family == "social")
      rows += text("<tr><td>", p.name, "<td>", number(p.f1, 4), "<td>", number(p.iou, 4), "<td>",
                   number(p.auc, 4), "\n");
  if (!rows.empty())
    html += text(
        "<h3>Social networks, approximated</h3><table><tr><th>After<th>F1<th>IoU<th>AUC\n"
        "<tr><td>nothing<td>",
        number(s.f1, 4), "<td>", number(s.iou, 4), "<td>", number(s.auc, 4), "\n", rows, "</table>\n");
  return html;
}

}  // namespace bp
