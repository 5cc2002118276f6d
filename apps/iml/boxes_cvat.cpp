// CVAT for images 1.1: <annotations><image name width height><box label xtl ytl xbr
// ybr/></image></annotations>.
#include <limits>
#include <pugixml.hpp>

#include "apps/iml/boxes_parse.h"
#include "engine/error.h"

namespace bp::detail {
namespace {

double number(const pugi::xml_node& node, const char* name, const std::string& source,
              const std::string& what) {
  const pugi::xml_attribute attribute = node.attribute(name);
  require(attribute, source, ": ", what, " has no ", name);
  double value = 0;
  require(parse_number(attribute.value(), value), source, ": ", what, ": ", name, " is not a number");
  return value;
}

// "x,y;x,y;..."
std::vector<double> points_of(std::string_view points, const std::string& source, const std::string& what) {
  std::vector<double> coordinates;
  while (!points.empty()) {
    const std::string_view part = points.substr(0, points.find_first_of(",;"));
    points.remove_prefix(std::min(points.size(), part.size() + 1));
    require(parse_number(part, coordinates.emplace_back()), source, ": ", what, ": a point is not x,y");
  }
  require(coordinates.size() >= 6 && coordinates.size() % 2 == 0, source, ": ", what, " has too few points");
  return coordinates;
}

}  // namespace

BoxSet parse_cvat(const std::string& source, std::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_parse_result result = document.load_buffer(xml.data(), xml.size());
  require(result, source, ": not valid XML (", result.description(), " at byte ", result.offset, ")");
  const pugi::xml_node root = document.child("annotations");
  require(root, source, ": no <annotations>, wanted CVAT for images 1.1");
  require(!root.child("track"), source, ": holds tracks of a video, wanted CVAT for images 1.1");
  BoxSet set{source, BoxFormat::cvat, {}};
  Entries entries(set);
  for (const pugi::xml_node& image : root.children("image")) {
    require(*image.attribute("name").value(), source, ": an <image> has no name");
    ImageBoxes& entry = entries[clean_name(image.attribute("name").value())];
    entry.width = image.attribute("width").as_llong();
    entry.height = image.attribute("height").as_llong();
    for (const pugi::xml_node& shape : image.children()) {
      const std::string_view type = shape.name();
      if (type == "tag") continue;  // of the whole image
      const std::string what = text(entry.image, ", <", type, "> ", entry.boxes.size() + 1);
      Box box;
      if (type == "box") {
        require(shape.attribute("rotation").as_double() == 0, source, ": ", what, " is rotated");
        box = {number(shape, "xtl", source, what),
               number(shape, "ytl", source, what),
               number(shape, "xbr", source, what),
               number(shape, "ybr", source, what),
               {}};
      } else {
        require(type == "polygon", source, ": ", what, ": wanted a box or polygon");
        box = bounds_of(points_of(shape.attribute("points").value(), source, what));
      }
      box.label = shape.attribute("label").value();
      entry.boxes.push_back(std::move(box));
    }
  }
  return set;
}

}  // namespace bp::detail
