// LabelMe json: one file per image, shapes with points. Rectangles have two opposite corners in any order.
#include "apps/iml/boxes_parse.h"
#include "engine/error.h"

namespace bp::detail {

BoxSet parse_labelme(const std::string& source, const Json& json) {
  BoxSet set{source, BoxFormat::labelme, {}};
  ImageBoxes entry{fs::path(source).stem().string(),
                   source,
                   size_of_side(json, "imageWidth"),
                   size_of_side(json, "imageHeight"),
                   {}};
  if (json.contains("imagePath") && json["imagePath"].is_string())
    entry.image = clean_name(json["imagePath"].get<std::string>());
  std::size_t number = 0;
  for (const Json& shape : member(json, "shapes", source, "the file")) {
    const std::string what = text("shape ", ++number);
    const Json& points = member(shape, "points", source, what);
    const std::string type = shape.value("shape_type", std::string("polygon"));
    const bool rectangle = type == "rectangle";
    require(rectangle || type == "polygon", source, ": ", what, " is a ", type,
            ", wanted a rectangle or polygon");
    require(points.is_array() && (rectangle ? points.size() == 2 || points.size() == 4 : points.size() >= 3),
            source, ": ", what, " has ", points.size(), " points, wanted ",
            rectangle ? "2 corners" : "at least 3");
    std::vector<double> coordinates;
    for (const Json& point : points) {
      require(point.is_array() && point.size() == 2, source, ": ", what, ": a point is not [x, y]");
      for (const Json& value : point) coordinates.push_back(number_of(value, source, what));
    }
    Box box = bounds_of(coordinates);
    if (shape.contains("label") && shape["label"].is_string()) box.label = shape["label"].get<std::string>();
    entry.boxes.push_back(std::move(box));
  }
  set.images.push_back(std::move(entry));
  return set;
}

}  // namespace bp::detail
