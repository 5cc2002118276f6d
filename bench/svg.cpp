#include "bench/svg.h"

#include <array>
#include <cstdio>

namespace bp::bench {
namespace {

std::string number(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", x);
  return text.data();
}

std::string attribute(const char* name, double value) {
  return std::string(" ") + name + "=\"" + number(value) + "\"";
}
std::string titled(const char* element, const std::string& tip) {
  return tip.empty() ? "/>\n" : "><title>" + escaped(tip) + "</title></" + element + ">\n";
}

constexpr const char* kStyle =
    "<style>"
    "svg{background:#fff;font-family:system-ui,sans-serif}"
    "text{fill:#222;font-size:10px}.title{font-size:15px;font-weight:600}.axis{font-size:11px}"
    ".inside{fill:#fff}.faint{fill:#666}"
    ".grid{stroke:#e4e4e4}.roof{stroke:#222;stroke-width:2}.leader{stroke:#aaa;stroke-width:.7}"
    "rect,circle{stroke:#fff;stroke-width:.7}"
    "@media(prefers-color-scheme:dark){svg{background:#16181c}text{fill:#ddd}.faint{fill:#999}"
    ".inside{fill:#fff}.grid{stroke:#2c3036}.roof{stroke:#ddd}.leader{stroke:#666}rect,circle{stroke:#16181c}"
    "}"
    "</style>\n";

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
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

Svg::Svg(double width, double height) : width_(width), height_(height) {}

void Svg::rect(double x, double y, double w, double h, const std::string& fill, const std::string& tip) {
  body_ += "<rect" + attribute("x", x) + attribute("y", y) + attribute("width", w) + attribute("height", h) +
           " fill=\"" + fill + "\"" + titled("rect", tip);
}
void Svg::circle(double x, double y, double r, const std::string& fill, const std::string& tip) {
  body_ += "<circle" + attribute("cx", x) + attribute("cy", y) + attribute("r", r) + " fill=\"" + fill +
           "\"" + titled("circle", tip);
}
void Svg::line(double x0, double y0, double x1, double y1, const std::string& style) {
  body_ += "<line" + attribute("x1", x0) + attribute("y1", y0) + attribute("x2", x1) + attribute("y2", y1) +
           " class=\"" + style + "\"/>\n";
}
void Svg::text(double x, double y, const std::string& content, const std::string& style,
               const std::string& more) {
  body_ += "<text" + attribute("x", x) + attribute("y", y) +
           (style.empty() ? "" : " class=\"" + style + "\"") + (more.empty() ? "" : " " + more) + ">" +
           escaped(content) + "</text>\n";
}

std::string Svg::finish() const {
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width_) + " " + number(height_) +
         "\" width=\"" + number(width_) + "\" height=\"" + number(height_) + "\">\n" + kStyle + body_ +
         "</svg>\n";
}

std::string colour(std::size_t index) {
  constexpr std::array<const char*, 20> all{"#3b78c3", "#d9622b", "#2f9e5f", "#b0479b", "#94831f",
                                            "#d0404f", "#1f94a6", "#7a5cc4", "#6b8e23", "#a0613a",
                                            "#5f7a90", "#c2579a", "#2d8bd0", "#b5651d", "#3c9d8f",
                                            "#8f5fbf", "#b08b00", "#7c8a99", "#c0563f", "#4f8f3f"};
  return all[index % all.size()];
}

}  // namespace bp::bench
