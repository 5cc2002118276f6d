// The readers behind load_boxes, one per family of formats, and what they share.
#pragma once
#include <nlohmann/json.hpp>

#include "apps/iml/boxes.h"

namespace bp::detail {

using Json = nlohmann::json;

// Each takes the file's path for messages and its bytes.
BoxSet parse_coco(const std::string& source, const Json& json);
BoxSet parse_labelme(const std::string& source, const Json& json);
BoxSet parse_via_json(const std::string& source, const Json& json);
BoxSet parse_cvat(const std::string& source, std::string_view xml);
BoxSet parse_csv(const std::string& source, std::string_view text);  // plain or VIA's
BoxSet parse_yolo(const std::string& source, std::string_view text, const std::string& image_stem);

// Text to JSON, with NaN and Infinity (which Python writes) as null. Throws Error naming the source and
// position.
Json parse_json(const std::string& source, std::string_view text);
// A number, or NaN where it is null; the check of the boxes reports that. Throws for anything else.
double number_of(const Json& json, const std::string& source, std::string_view what);
// A member that must be there.
const Json& member(const Json& object, const char* name, const std::string& source, std::string_view what);
i64 size_of_side(const Json& object, const char* name);  // 0 where absent or not a positive integer

// One VIA region: shape_attributes and the label out of region_attributes.
Box via_region(const Json& shape, const Json& attributes, const std::string& source, std::string_view what);

// The whole of `s` (blanks around it allowed) as a number, "nan" and "inf" included.
bool parse_number(std::string_view s, double& value);

// "..\\images\\a.jpg" and "/data/images/a.jpg" to "images/a.jpg" and "data/images/a.jpg", in one line.
std::string clean_name(std::string name);

// The entry of the image, made where it is new. Files name an image many times; entries are found by hash.
class Entries {
 public:
  explicit Entries(BoxSet& set) : set_(set) {}
  ImageBoxes& operator[](const std::string& image);

 private:
  BoxSet& set_;
  std::unordered_map<std::string, std::size_t> index_;
};

// The box around points x0, y0, x1, y1, ...
Box bounds_of(std::span<const double> coordinates);

}  // namespace bp::detail
