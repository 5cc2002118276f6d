#include "apps/iml/train_log.h"

#include <nlohmann/json.hpp>

namespace bp {
namespace {

using Json = nlohmann::ordered_json;

Json optional(const std::optional<double>& v) {
  return v ? Json(*v) : Json();
}

}  // namespace

std::string to_line(const StepRecord& r) {
  return Json{{"step", r.step},
              {"loss", r.loss},
              {"lr", r.lr},
              {"gradient_norm", r.gradient_norm},
              {"images_per_second", r.images_per_second},
              {"device", r.device}}
             .dump() +
         "\n";
}

std::string to_line(const Validation& v) {
  return Json{{"step", v.step},
              {"validation",
               {{"f1", v.f1},
                {"iou", v.iou},
                {"auc", optional(v.auc)},
                {"best_f1", v.best_f1},
                {"threshold", v.threshold}}}}
             .dump() +
         "\n";
}

TrainLog resume_log(const fs::path& jsonl, i64 step) {
  TrainLog log;
  if (!fs::exists(jsonl)) return log;
  const std::string all = read_file(jsonl);
  std::string kept;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = all.find('\n', at);
    if (end == std::string::npos) break;
    const std::string line = all.substr(at, end + 1 - at);
    at = end + 1;
    const Json j = Json::parse(line, nullptr, false);
    try {
      const i64 n = j.at("step").get<i64>();
      if (n > step) continue;
      if (j.contains("validation")) {
        const Json& v = j["validation"];
        log.validations.push_back({n, v.at("f1"), v.at("iou"),
                                   v.at("auc").is_null() ? std::nullopt : std::optional<double>(v.at("auc")),
                                   v.at("best_f1"), v.at("threshold")});
      } else {
        log.steps.push_back({n, j.at("loss"), j.at("lr"), j.at("gradient_norm"), j.at("images_per_second"),
                             j.value("device", "cpu")});
      }
    } catch (const Json::exception&) {
      continue;  // torn by a kill
    }
    kept += line;
  }
  if (kept.size() != all.size()) write_file(jsonl, kept);
  return log;
}

}  // namespace bp
