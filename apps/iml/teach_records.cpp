// teach.jsonl: one JSON object per line, appended an image at a time, so that a kill loses at most the image
// at work.
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/iml/teach_records.h"

namespace bp {

using Json = nlohmann::ordered_json;

std::string to_line(const Record& r) {
  Json line{{"image", r.image}, {"annotation", r.annotation}, {"box_index", r.box_index}, {"boxes", r.boxes}};
  if (r.boxes > 0) {
    line["box"] = {r.box.x0, r.box.y0, r.box.x1, r.box.y1};
    if (!r.box.label.empty()) line["label"] = r.box.label;
    line["predicted_iou"] = r.predicted_iou;
    line["stability"] = r.stability;
    line["area"] = r.area;
  }
  line["seconds"] = r.seconds;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::map<std::string, std::vector<Record>> read_records(const std::filesystem::path& jsonl) {
  std::map<std::string, std::vector<Record>> records;
  std::ifstream in(jsonl);
  for (std::string line; std::getline(in, line);) {
    const Json j = Json::parse(line, nullptr, false);
    if (j.is_discarded() || !j.is_object()) continue;  // the last line of a killed run
    try {
      Record r;
      r.image = j.at("image").get<std::string>();
      r.annotation = j.at("annotation").get<std::string>();
      r.box_index = j.at("box_index").get<int>();
      r.boxes = j.at("boxes").get<int>();
      r.seconds = j.at("seconds").get<double>();
      if (r.boxes > 0) {
        const auto& b = j.at("box");
        r.box = {b.at(0).get<double>(), b.at(1).get<double>(), b.at(2).get<double>(), b.at(3).get<double>(),
                 j.value("label", std::string())};
        r.predicted_iou = j.at("predicted_iou").get<double>();
        r.stability = j.at("stability").get<double>();
        r.area = j.at("area").get<i64>();
      }
      auto& of_image = records[r.image];
      if (r.box_index == 0) of_image.clear();  // done again later: the last run counts
      of_image.push_back(std::move(r));
    } catch (const Json::exception&) {
      continue;
    }
  }
  std::erase_if(records, [](const auto& entry) {
    const auto& list = entry.second;
    return list.empty() || list.size() != static_cast<std::size_t>(std::max(1, list[0].boxes));
  });
  return records;
}

}  // namespace bp
