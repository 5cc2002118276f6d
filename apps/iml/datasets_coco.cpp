#include "apps/iml/datasets_coco.h"

#include <map>
#include <set>

#include "engine/error.h"

namespace bp {
namespace {

using Json = nlohmann::json;

Rle runs_of(const Json& segmentation) {
  const auto size = segmentation.at("size").get<std::vector<i64>>();
  require(size.size() == 2, "its size is not [height, width]");
  const Json& counts = segmentation.at("counts");
  if (counts.is_string()) return rle_from_text(counts.get<std::string>(), size[0], size[1]);
  return {size[0], size[1], counts.get<std::vector<std::uint32_t>>()};
}

}  // namespace

Dataset read_coco(const fs::path& file, const Json& json) {
  Dataset set;
  set.name = file.stem().string();
  set.layout = "COCO json";
  std::map<std::string, Sample> samples;  // by id
  std::vector<std::string> ids;
  std::set<std::string> without_mask;
  try {
    for (const Json& image : json.at("images")) {
      const std::string id = image.at("id").dump(), name = image.at("file_name").get<std::string>();
      Sample sample{file.parent_path() / fs::path(name), {}, relative_key(name), MaskCode::runs};
      require(samples.emplace(id, std::move(sample)).second, "image id ", id, " is there twice");
      ids.push_back(id);
    }
    for (const Json& annotation : json.at("annotations")) {
      const std::string id = annotation.at("image_id").dump();
      const auto found = samples.find(id);
      require(found != samples.end(), "an annotation is of image id ", id, ", which is not among the images");
      found->second.mask = file;
      const Json segmentation = annotation.value("segmentation", Json());
      if (segmentation.is_object())
        found->second.runs.push_back(runs_of(segmentation));
      else
        without_mask.insert(id);
    }
  } catch (const Json::exception& e) {
    fail(file.string(), ": ", one_line(e.what()));
  } catch (const Error& e) {
    fail(file.string(), ": ", one_line(e.what()));
  }
  for (const std::string& id : ids) {
    Sample& sample = samples.at(id);
    if (without_mask.count(id))
      set.unpaired.push_back(one_line(sample.key) + ": a box without a mask (run lengths) in " +
                             file.string());
    else
      set.samples.push_back(std::move(sample));
  }
  return set;
}

}  // namespace bp
