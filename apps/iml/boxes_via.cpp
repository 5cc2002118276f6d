// VGG Image Annotator, versions 1 and 2: regions as JSON, in a json file or inside the fields of a csv
// (boxes_csv.cpp).
#include "apps/iml/boxes_parse.h"
#include "engine/error.h"

namespace bp::detail {

Box via_region(const Json& shape, const Json& attributes, const std::string& source, std::string_view what) {
  const Json& name = member(shape, "name", source, what);
  Box box;
  if (name == "rect") {
    const auto number = [&](const char* key) {
      return number_of(member(shape, key, source, what), source, what);
    };
    box.x0 = number("x");
    box.y0 = number("y");
    box.x1 = box.x0 + number("width");
    box.y1 = box.y0 + number("height");
  } else {
    require(name == "polygon", source, ": ", what, " is a ", name.dump(), ", wanted a rect or polygon");
    const Json& xs = member(shape, "all_points_x", source, what);
    const Json& ys = member(shape, "all_points_y", source, what);
    require(xs.is_array() && ys.is_array() && xs.size() == ys.size() && xs.size() >= 3, source, ": ", what,
            ": a polygon needs as many x as y and at least 3");
    std::vector<double> coordinates;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      coordinates.push_back(number_of(xs[i], source, what));
      coordinates.push_back(number_of(ys[i], source, what));
    }
    box = bounds_of(coordinates);
  }
  if (attributes.is_object())
    for (const auto& [key, value] : attributes.items())
      if (value.is_string() && box.label.empty()) box.label = value.get<std::string>();
  return box;
}

BoxSet parse_via_json(const std::string& source, const Json& json) {
  BoxSet set{source, BoxFormat::via_json, {}};
  Entries entries(set);
  const Json& images = json.contains("_via_img_metadata") ? json["_via_img_metadata"] : json;
  require(images.is_object(), source, ": _via_img_metadata is not an object");
  for (const auto& [key, image] : images.items()) {
    const Json& name = member(image, "filename", source, "\"" + key + "\"");
    require(name.is_string(), source, ": \"", key, "\": its filename is not text");
    ImageBoxes& entry = entries[clean_name(name.get<std::string>())];
    const std::string what = "a region of " + entry.image;
    for (const Json& region :
         member(image, "regions", source, entry.image))  // a list, or an object in version 1
      entry.boxes.push_back(via_region(member(region, "shape_attributes", source, what),
                                       region.value("region_attributes", Json()), source, what));
  }
  return set;
}

}  // namespace bp::detail
