// A picture as SVG text, readable on light and dark pages.
#pragma once
#include <string>

namespace bp::bench {

std::string escaped(const std::string& text);  // for XML

class Svg {
 public:
  Svg(double width, double height);
  // Classes are those of the style sheet in svg.cpp; colours are CSS. `tip` is shown under the pointer.
  void rect(double x, double y, double w, double h, const std::string& fill, const std::string& tip = "");
  void circle(double x, double y, double r, const std::string& fill, const std::string& tip = "");
  void line(double x0, double y0, double x1, double y1, const std::string& style);
  void text(double x, double y, const std::string& content, const std::string& style = "",
            const std::string& more = "");
  std::string finish() const;

  // How wide the style sheet's small text is, about.
  static double width_of(const std::string& text) { return 5.7 * static_cast<double>(text.size()); }

 private:
  double width_, height_;
  std::string body_;
};

// One of twenty colours that are told apart on light and dark, the same for the same index.
std::string colour(std::size_t index);

}  // namespace bp::bench
