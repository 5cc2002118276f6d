#include "apps/iml/boxes_write.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <sstream>

#include "apps/iml/run_folder.h"
#include "engine/error.h"

namespace bp {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string number(double v) {
  return shortest(v, 12);
}

// What a box without a label is called in formats that want a name.
const std::string& label_of(const Box& box) {
  static const std::string none = "manipulated";
  return box.label.empty() ? none : box.label;
}

// The labels in order of their first use, each with its index.
std::map<std::string, std::size_t> classes_of(const BoxSet& set, std::vector<std::string>& names) {
  std::map<std::string, std::size_t> index;
  for (const ImageBoxes& image : set.images)
    for (const Box& box : image.boxes)
      if (index.emplace(label_of(box), names.size()).second) names.push_back(label_of(box));
  return index;
}

std::string coco(const BoxSet& set) {
  std::vector<std::string> names;
  const auto classes = classes_of(set, names);
  Json images = Json::array(), annotations = Json::array(), categories = Json::array();
  for (std::size_t i = 0; i < names.size(); ++i) categories.push_back({{"id", i + 1}, {"name", names[i]}});
  for (std::size_t i = 0; i < set.images.size(); ++i) {
    const ImageBoxes& image = set.images[i];
    Json entry{{"id", i + 1}, {"file_name", image.image}};
    if (image.width > 0) entry["width"] = image.width, entry["height"] = image.height;
    images.push_back(std::move(entry));
    for (const Box& b : image.boxes) {
      const double w = b.x1 - b.x0, h = b.y1 - b.y0;
      annotations.push_back({{"id", annotations.size() + 1},
                             {"image_id", i + 1},
                             {"category_id", classes.at(label_of(b)) + 1},
                             {"bbox", {b.x0, b.y0, w, h}},
                             {"area", w * h},
                             {"iscrowd", 0},
                             {"segmentation", Json::array()}});
    }
  }
  return dump({{"images", images}, {"annotations", annotations}, {"categories", categories}});
}

std::string labelme(const ImageBoxes& image) {
  Json shapes = Json::array();
  for (const Box& b : image.boxes)
    shapes.push_back({{"label", label_of(b)},
                      {"points", {{b.x0, b.y0}, {b.x1, b.y1}}},
                      {"group_id", nullptr},
                      {"shape_type", "rectangle"},
                      {"flags", Json::object()}});
  Json file{{"version", "5.0.1"},
            {"flags", Json::object()},
            {"shapes", shapes},
            {"imagePath", fs::path(image.image).filename().string()},
            {"imageData", nullptr}};
  if (image.width > 0) file["imageHeight"] = image.height, file["imageWidth"] = image.width;
  return dump(file);
}

std::string yolo(const ImageBoxes& image, const std::map<std::string, std::size_t>& classes) {
  const auto w = static_cast<double>(image.width), h = static_cast<double>(image.height);
  std::string lines;
  for (const Box& b : image.boxes)
    lines +=
        text(classes.at(label_of(b)), ' ', number((b.x0 + b.x1) / 2 / w), ' ', number((b.y0 + b.y1) / 2 / h),
             ' ', number((b.x1 - b.x0) / w), ' ', number((b.y1 - b.y0) / h), '\n');
  return lines;
}

std::string cvat(const BoxSet& set) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("annotations");
  root.append_child("version").text().set("1.1");
  for (std::size_t i = 0; i < set.images.size(); ++i) {
    const ImageBoxes& image = set.images[i];
    pugi::xml_node node = root.append_child("image");
    node.append_attribute("id") = static_cast<unsigned long long>(i);
    node.append_attribute("name") = image.image.c_str();
    if (image.width > 0) {
      node.append_attribute("width") = static_cast<long long>(image.width);
      node.append_attribute("height") = static_cast<long long>(image.height);
    }
    for (const Box& b : image.boxes) {
      pugi::xml_node box = node.append_child("box");
      box.append_attribute("label") = label_of(b).c_str();
      box.append_attribute("source") = "manual";
      box.append_attribute("occluded") = "0";
      box.append_attribute("xtl") = number(b.x0).c_str();
      box.append_attribute("ytl") = number(b.y0).c_str();
      box.append_attribute("xbr") = number(b.x1).c_str();
      box.append_attribute("ybr") = number(b.y1).c_str();
      box.append_attribute("z_order") = "0";
    }
  }
  std::ostringstream out;
  document.save(out, "  ");
  return out.str();
}

Json via_shape(const Box& b) {
  return {{"name", "rect"}, {"x", b.x0}, {"y", b.y0}, {"width", b.x1 - b.x0}, {"height", b.y1 - b.y0}};
}

std::string via_json(const BoxSet& set) {
  Json images = Json::object();
  for (const ImageBoxes& image : set.images) {
    Json regions = Json::array();
    for (const Box& b : image.boxes)
      regions.push_back(
          {{"shape_attributes", via_shape(b)}, {"region_attributes", {{"label", label_of(b)}}}});
    images[image.image + "-1"] = {
        {"filename", image.image}, {"size", -1}, {"regions", regions}, {"file_attributes", Json::object()}};
  }
  return dump({{"_via_settings", Json::object()},
               {"_via_img_metadata", images},
               {"_via_attributes", {{"region", Json::object()}, {"file", Json::object()}}},
               {"_via_data_format_version", "2.0.10"}});
}

// A field of RFC 4180, quoted where it must be.
std::string field(const std::string& s) {
  if (s.find_first_of(",\"\r\n") == s.npos) return s;
  std::string quoted = "\"";
  for (const char c : s) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string via_csv(const BoxSet& set) {
  std::string out =
      "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
      "region_attributes\n";
  for (const ImageBoxes& image : set.images) {
    const auto row = [&](std::size_t id, const Json& shape, const Json& attributes) {
      out += text(field(image.image), ",-1,{},", image.boxes.size(), ',', id, ',',
                  field(shape.dump(-1, ' ', false, Json::error_handler_t::replace)), ',',
                  field(attributes.dump(-1, ' ', false, Json::error_handler_t::replace)), '\n');
    };
    if (image.boxes.empty()) row(0, Json::object(), Json::object());
    for (std::size_t b = 0; b < image.boxes.size(); ++b)
      row(b, via_shape(image.boxes[b]), {{"label", label_of(image.boxes[b])}});
  }
  return out;
}

std::string csv(const BoxSet& set) {
  std::string out = "image,x0,y0,x1,y1,label\n";
  for (const ImageBoxes& image : set.images) {
    if (image.boxes.empty()) out += field(image.image) + ",,,,,\n";
    for (const Box& b : image.boxes)
      out += text(field(image.image), ',', number(b.x0), ',', number(b.y0), ',', number(b.x1), ',',
                  number(b.y1), ',', field(label_of(b)), '\n');
  }
  return out;
}

void check(const BoxSet& set, BoxFormat format) {
  require(set.format != BoxFormat::yolo, set.source,
          ": YOLO holds fractions of images, whose sizes are needed to write ", name_of(format));
  for (const ImageBoxes& image : set.images) {
    require(format != BoxFormat::yolo || (image.width > 0 && image.height > 0), set.source, ": ", image.image,
            ": its size is not known, and YOLO needs it");
    for (const Box& b : image.boxes)
      require(std::isfinite(b.x0) && std::isfinite(b.y0) && std::isfinite(b.x1) && std::isfinite(b.y1) &&
                  b.x0 < b.x1 && b.y0 < b.y1,
              set.source, ": ", image.image, ": (", b.x0, ",", b.y0, ",", b.x1, ",", b.y1, ") is no box");
  }
}

// A file per image, in subfolders as the images are.
void save_folder(const BoxSet& set, BoxFormat format, const fs::path& out) {
  std::vector<std::string> names;
  const auto classes = classes_of(set, names);
  std::map<fs::path, std::string> taken;
  for (const ImageBoxes& image : set.images) {
    const fs::path name =
        fs::path(image.image).replace_extension(format == BoxFormat::yolo ? ".txt" : ".json");
    const auto [it, added] = taken.emplace(name, image.image);
    require(added, image.image, " and ", it->second, " would share ", (out / name).string());
  }
  for (const ImageBoxes& image : set.images) {
    const fs::path file =
        out / fs::path(image.image).replace_extension(format == BoxFormat::yolo ? ".txt" : ".json");
    make_folder(file.parent_path());
    write_file(file, format == BoxFormat::yolo ? yolo(image, classes) : labelme(image));
  }
  if (format != BoxFormat::yolo) return;
  std::string list;
  for (const std::string& name : names) list += name + '\n';
  write_file(out / "classes.txt", list);
}

}  // namespace

const std::map<std::string, BoxFormat>& box_formats() {
  static const std::map<std::string, BoxFormat> formats{
      {"coco", BoxFormat::coco}, {"labelme", BoxFormat::labelme}, {"yolo", BoxFormat::yolo},
      {"cvat", BoxFormat::cvat}, {"via", BoxFormat::via_json},    {"via-csv", BoxFormat::via_csv},
      {"csv", BoxFormat::csv}};
  return formats;
}

bool is_folder_format(BoxFormat format) {
  return format == BoxFormat::labelme || format == BoxFormat::yolo;
}

void save_boxes(const BoxSet& set, BoxFormat format, const fs::path& out) {
  check(set, format);
  switch (format) {
    case BoxFormat::coco:
      return write_file(out, coco(set));
    case BoxFormat::cvat:
      return write_file(out, cvat(set));
    case BoxFormat::via_json:
      return write_file(out, via_json(set));
    case BoxFormat::via_csv:
      return write_file(out, via_csv(set));
    case BoxFormat::csv:
      return write_file(out, csv(set));
    case BoxFormat::labelme:
    case BoxFormat::yolo:
      return save_folder(set, format, out);
  }
}

}  // namespace bp
