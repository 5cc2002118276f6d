// COCO json: images with ids, annotations with bbox = [x, y, width, height].
#include "apps/iml/boxes_parse.h"
#include "engine/error.h"

namespace bp::detail {

BoxSet parse_coco(const std::string& source, const Json& json) {
  BoxSet set{source, BoxFormat::coco, {}};
  Entries entries(set);
  std::unordered_map<std::string, std::string> image_of,
      label_of;  // by id, which may be a number or a string
  for (const Json& image : member(json, "images", source, "the file")) {
    const std::string id = member(image, "id", source, "an image").dump();
    const Json& name = member(image, "file_name", source, "image " + id);
    require(name.is_string(), source, ": image ", id, ": its file_name is not text");
    ImageBoxes& entry = entries[clean_name(name.get<std::string>())];
    entry.width = size_of_side(image, "width");
    entry.height = size_of_side(image, "height");
    require(image_of.emplace(id, entry.image).second, source, ": image id ", id, " is there twice");
  }
  if (json.contains("categories"))
    for (const Json& category : json["categories"])
      if (category.is_object() && category.contains("id") && category.contains("name") &&
          category["name"].is_string())
        label_of.emplace(category["id"].dump(), category["name"].get<std::string>());

  std::size_t number = 0;
  for (const Json& annotation : member(json, "annotations", source, "the file")) {
    const std::string what = text("annotation ", ++number);
    const auto image = image_of.find(member(annotation, "image_id", source, what).dump());
    require(image != image_of.end(), source, ": ", what, " is of image id ", annotation["image_id"].dump(),
            ", which is not among the images");
    const Json& bbox = member(annotation, "bbox", source, what);
    require(bbox.is_array() && bbox.size() == 4, source, ": ", what, ": bbox is not [x, y, width, height]");
    const double x = number_of(bbox[0], source, what), y = number_of(bbox[1], source, what);
    Box box{x, y, x + number_of(bbox[2], source, what), y + number_of(bbox[3], source, what), {}};
    if (annotation.contains("category_id"))
      if (const auto label = label_of.find(annotation["category_id"].dump()); label != label_of.end())
        box.label = label->second;
    entries[image->second].boxes.push_back(std::move(box));
  }
  return set;
}

}  // namespace bp::detail
