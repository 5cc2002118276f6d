#include "apps/iml/evaluate_html.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/iml/draw.h"
#include "apps/iml/image.h"
#include "apps/iml/image_decode.h"
#include "engine/error.h"
#include "engine/ops.h"

namespace bp {
namespace {

constexpr int kShown = 6;    // best and worst images of a set
constexpr i64 kThumb = 200;  // longer side in pixels
constexpr Colour kTruth{40, 220, 120};

const char* const kHead = R"(<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>BoxPrompt evaluation</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;color:#1c2230;background:#fafbfc;max-width:1080px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{margin-top:2em;border-bottom:1px solid #d5dae3}h3{font-size:1em;margin:1.2em 0 .4em}
table{border-collapse:collapse;margin:.6em 0}td,th{padding:.25em .8em;text-align:right;border-bottom:1px solid #e3e7ee}
td:first-child,th:first-child{text-align:left}tr.chance td{color:#7b8496}tr.mean td{font-weight:600}
.curves{display:flex;flex-wrap:wrap;gap:1.5em}figure{margin:0}figcaption{font-size:.85em;color:#4b5568}
.case{display:flex;gap:6px;align-items:flex-start;margin:.5em 0}.case img{border:1px solid #ccd}
.case p{margin:0;font-size:.85em;overflow-wrap:anywhere;max-width:22em}
.cause{background:#fff2d8;border-left:4px solid #e09b12;padding:.4em .8em;margin:.4em 0}
.failed{background:#fde4e4;border-left:4px solid #d43d3d;padding:.4em .8em;margin:.4em 0;white-space:pre-line}
details{margin:.8em 0}small{color:#5b6475}
</style>
)";

std::string escaped(const std::string& s) {
  std::string out;
  for (const char c : one_line(s)) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string number(const std::optional<double>& v, int digits = 4) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, v.value_or(0));
  return v ? buffer : "&ndash;";
}

std::string base64(const std::string& bytes) {
  static const char* const kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (std::size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      out += i + j <= bytes.size() ? kLetters[group >> (18 - 6 * j) & 63u] : '=';
  }
  return out;
}

std::string picture(const Tensor& image, const char* title) {
  return text(
      "<img alt=\"", title, "\" title=\"", title, "\" width=", image.dim(1), " height=", image.dim(0),
      " src=\"data:image/png;base64,",
      base64(detail::encode_png(image.data<u8>(), image.dim(1), image.dim(0), image.rank() == 2 ? 1 : 3)),
      "\">");
}

// Image with the truth, image with the prediction, map: side by side at one size.
std::string pictures(const ScoredImage& i, const Tensor& map, const EvalOptions& options) {
  const i64 height = i.true_height > 0 ? i.true_height : i.height,
            width = i.true_width > 0 ? i.true_width : i.width;
  const i64 longer = std::max(height, width);
  const i64 h = std::max<i64>(1, height * kThumb / longer), w = std::max<i64>(1, width * kThumb / longer);
  const Tensor image =
      i.sample.image.empty() ? full({h, w, 3}, 90, DType::u8) : resize_pil(load_image(i.sample.image), h, w);
  const Tensor shown = options.normalize ? normalize_map(map) : map;
  const Tensor grey = resize_pil(shown.reshape({map.dim(0), map.dim(1), 1}), h, w).reshape({h, w});
  Tensor inside = empty(grey.shape(), DType::u8);
  for (i64 p = 0; p < grey.numel(); ++p)
    inside.data<u8>()[p] = grey.data<u8>()[p] > 255 * options.threshold ? 255 : 0;
  std::string html;
  if (!i.sample.authentic())
    html += picture(overlay(image, resize_mask(load_truth(i.sample), h, w), kTruth), "true mask");
  return html + picture(overlay(image, inside), "prediction") + picture(grey, "map");
}

std::string score_row(const char* kind, const std::string& name, const std::string& images,
                      const std::optional<double>& f1, const std::optional<double>& iou,
                      const std::optional<double>& auc, double best, const std::string& at) {
  return text("<tr", kind, "><td>", name, "<td>", images, "<td>", number(f1), "<td>", number(iou), "<td>",
              number(auc), "<td>", number(best), "<td>", at, "\n");
}

std::string summary(const std::vector<SetScores>& sets) {
  std::string html = "<table><tr><th>Pixels<th>images<th>F1<th>IoU<th>AUC<th>best F1<th>at threshold\n";
  double f1 = 0, iou = 0, best = 0, auc = 0;
  bool all_auc = true;
  for (const SetScores& s : sets) {
    html += score_row("", escaped(s.name), std::to_string(s.scored), s.f1, s.iou, s.auc, s.best.f1,
                      number(s.best.threshold, 3));
    html += score_row(" class=chance", "&emsp;all ones", "", s.ones_f1, s.ones_iou, 0.5, s.ones_f1, "");
    if (s.mean_mask)
      html += score_row(" class=chance", "&emsp;mean mask", "", {}, {}, s.mean_mask->auc, s.mean_mask->f1,
                        number(s.mean_mask->threshold, 3));
    f1 += s.f1, iou += s.iou, best += s.best.f1, auc += s.auc.value_or(0);
    all_auc = all_auc && s.auc;
  }
  const auto n = static_cast<double>(sets.size());
  if (sets.size() > 1)
    html += score_row(" class=mean", "mean of the sets", "", f1 / n, iou / n,
                      all_auc ? std::optional(auc / n) : std::nullopt, best / n, "");
  html +=
      "</table>\n<p><small>A constant map has AUC 0.5; a map without tampered pixels has F1 0. The mean "
      "mask is the same for all images and has seen the true masks.</small></p>\n";
  if (std::none_of(sets.begin(), sets.end(), [](const SetScores& s) { return s.image_level.has_value(); }))
    return html;
  html += "<table><tr><th>Whole images<th>images<th>accuracy<th>F1<th>AUC\n";
  for (const SetScores& s : sets) {
    if (!s.image_level) continue;
    html += text("<tr><td>", escaped(s.name), "<td>", s.images.size(), "<td>",
                 number(s.image_level->accuracy), "<td>", number(s.image_level->f1), "<td>",
                 number(s.image_level->auc), "\n<tr class=chance><td>&emsp;all ones<td><td>",
                 number(s.ones_accuracy), "<td>", number(s.ones_image_f1), "<td>0.5000\n");
  }
  return html + "</table>\n";
}

// Values in [0,1] at equal steps over [0,1], with a dashed line (two points of y) for chance.
std::string curve(std::span<const double> values, const std::string& caption, const std::string& x_name,
                  const std::string& y_name, double chance_left, double chance_right,
                  std::optional<double> marked_x) {
  constexpr double kSize = 300, kLeft = 44, kTop = 12;
  const auto x = [&](double v) { return kLeft + v * kSize; };
  const auto y = [&](double v) { return kTop + (1 - v) * kSize; };
  std::string svg =
      text("<figure><svg width=370 height=362 font-size=11 fill=\"#4b5568\" role=img aria-label=\"", caption,
           "\"><g stroke=\"#dfe3ea\">");
  for (int i = 0; i <= 5; ++i) {
    const double v = i / 5.0;
    svg += text("<path d=\"M", x(v), " ", y(0), "V", y(1), "M", x(0), " ", y(v), "H", x(1), "\"/>");
  }
  svg += "</g>";
  for (int i = 0; i <= 5; ++i) {
    const double v = i / 5.0;
    svg += text("<text text-anchor=middle x=", x(v), " y=", y(0) + 15, ">", v,
                "</text><text text-anchor=end x=", x(0) - 5, " y=", y(v) + 4, ">", v, "</text>");
  }
  svg +=
      text("<text text-anchor=middle x=", x(0.5), " y=", y(0) + 32, ">", x_name,
           "</text><text text-anchor=middle transform=\"translate(11 ", y(0.5), ") rotate(-90)\">", y_name,
           "</text><path stroke=\"#9aa3b2\" stroke-dasharray=\"5 4\" d=\"M", x(0), " ", y(chance_left), "L",
           x(1), " ", y(chance_right), "\"/><polyline fill=none stroke=\"#c2185b\" stroke-width=2 points=\"");
  for (std::size_t i = 0; i < values.size(); ++i)
    svg += text(x(static_cast<double>(i) / static_cast<double>(values.size() - 1)), ",", y(values[i]), " ");
  svg += "\"/>";
  if (marked_x)
    svg += text("<path stroke=\"#2864c8\" stroke-dasharray=\"2 3\" d=\"M", x(*marked_x), " ", y(0), "V", y(1),
                "\"/>");
  return svg + "</svg><figcaption>" + caption + "</figcaption></figure>\n";
}

std::string curves(const SetScores& s, double threshold) {
  // Thresholds are k/255 for k to 254; at 1 nothing is predicted.
  std::vector<double> f1(s.f1_at.begin(), s.f1_at.end());
  f1.push_back(0);
  std::string html =
      "<div class=curves>" + curve(f1,
                                   "Mean F1 over the threshold. Dashed: all ones. Blue: the threshold, " +
                                       number(threshold, 2) + ".",
                                   "threshold", "F1", s.ones_f1, s.ones_f1, threshold);
  if (s.auc)
    html += curve(s.roc, "ROC of the pixels, mean over images: AUC " + number(s.auc) + ". Dashed: chance.",
                  "false positive rate", "true positive rate", 0, 1, std::nullopt);
  return html + "</div>\n";
}

std::string one_case(const SetScores& s, std::size_t set, std::size_t image, const EvalOptions& options,
                     const std::function<Tensor(std::size_t, std::size_t)>& map_of) {
  const ScoredImage& i = s.images[image];
  std::string shown;
  try {
    shown = pictures(i, map_of(set, image), options);
  } catch (const Error& e) {
    shown = "<p>" + escaped(e.what()) + "</p>";
  }
  return text("<div class=case>", shown, "<p><b>", escaped(i.sample.key), "</b><br>F1 ", number(i.f1),
              "<br>IoU ", number(i.iou), "<br>AUC ", number(i.auc), "</p></div>\n");
}

std::string cases(const SetScores& s, std::size_t set, const EvalOptions& options,
                  const std::function<Tensor(std::size_t, std::size_t)>& map_of) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < s.images.size(); ++i)
    if (s.images[i].pixels) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return s.images[a].f1 > s.images[b].f1; });
  const std::size_t best = std::min<std::size_t>(kShown, (order.size() + 1) / 2);
  const std::size_t worst = std::min<std::size_t>(kShown, order.size() - best);
  std::string html =
      "<h3>Best images</h3><p><small>True mask in green, prediction in red, the map.</small></p>\n";
  for (std::size_t i = 0; i < best; ++i) html += one_case(s, set, order[i], options, map_of);
  if (worst > 0) html += "<h3>Worst images</h3>\n";
  for (std::size_t i = order.size(); i > order.size() - worst; --i)
    html += one_case(s, set, order[i - 1], options, map_of);
  return html;
}

std::string table_of_images(const SetScores& s) {
  std::string html =
      "<details><summary>All images</summary><table><tr><th>Image<th>F1<th>IoU<th>AUC<th>image score\n";
  for (const ScoredImage& i : s.images) {
    const auto pixel = [&](double v) { return number(i.pixels ? std::optional(v) : std::nullopt); };
    html += text("<tr><td>", escaped(i.sample.key), i.manipulated ? "" : " (authentic)", "<td>", pixel(i.f1),
                 "<td>", pixel(i.iou), "<td>", number(i.auc), "<td>", number(i.image_score), "\n");
  }
  return html + "</table></details>\n";
}

}  // namespace

std::string evaluation_html(const std::vector<SetScores>& sets, const EvalOptions& options,
                            const std::function<Tensor(std::size_t, std::size_t)>& map_of) {
  std::string html = kHead;
  html +=
      text("<h1>Scores under the protocol &ldquo;", name_of(options.protocol), "&rdquo;</h1>\n<p>Threshold ",
           options.threshold, options.normalize ? ", every map stretched to 0..1" : "",
           options.all ? ", authentic images scored as empty masks" : "",
           ". Means over images; the best threshold is one for the whole set.</p>\n", summary(sets));
  for (std::size_t n = 0; n < sets.size(); ++n) {
    const SetScores& s = sets[n];
    html += text("<h2>", escaped(s.name), "</h2><p><small>", escaped(s.layout), ", ", s.images.size(),
                 " images</small></p>\n");
    for (const auto& reason : s.reasons) html += "<p class=cause>" + escaped(reason) + "</p>\n";
    if (!s.failed.empty()) {
      html += text("<details class=failed><summary>", s.failed.size(), " images were not scored</summary>");
      for (const auto& line : s.failed) html += escaped(line) + "\n";
      html += "</details>\n";
    }
    if (s.scored > 0)
      html += curves(s, options.threshold) + robustness_html(s) + cases(s, n, options, map_of);
    html += table_of_images(s);
  }
  return html + "</html>\n";
}

}  // namespace bp
