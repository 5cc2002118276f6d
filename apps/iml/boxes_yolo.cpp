// YOLO txt: one file per image, lines `class cx cy w h` in fractions of the image, optionally with a
// confidence; or `class x y x y x y ...`, a polygon.
#include "apps/iml/boxes_parse.h"
#include "engine/error.h"

namespace bp::detail {

BoxSet parse_yolo(const std::string& source, std::string_view text, const std::string& image_stem) {
  BoxSet set{source, BoxFormat::yolo, {{image_stem, source, 0, 0, {}}}};
  std::size_t number = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    std::vector<double> values;
    std::string label;
    std::size_t fields = 0;
    for (std::size_t at = 0;; ++fields) {
      at = line.find_first_not_of(" \t\r", at);
      if (at == line.npos) break;
      const std::string_view field = line.substr(at, line.find_first_of(" \t\r", at) - at);
      at += field.size();
      double value = 0;
      require(parse_number(field, value), source, ": line ", number, ": \"", field.substr(0, 40),
              "\" is not a number, wanted `class cx cy w h`");
      if (fields == 0)
        label = field;
      else
        values.push_back(value);
    }
    if (fields == 0) continue;
    const std::size_t n = values.size();
    require(n == 4 || n == 5 || (n >= 6 && n % 2 == 0), source, ": line ", number, ": ", fields,
            " numbers, wanted `class cx cy w h`");
    Box box = bounds_of(values);
    if (n <= 5)
      box = {values[0] - values[2] / 2,
             values[1] - values[3] / 2,
             values[0] + values[2] / 2,
             values[1] + values[3] / 2,
             {}};
    box.label = label;
    set.images[0].boxes.push_back(std::move(box));
  }
  return set;
}

}  // namespace bp::detail
