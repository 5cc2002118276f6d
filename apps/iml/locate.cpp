#include "apps/iml/locate.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/iml/contours.h"
#include "apps/iml/draw.h"
#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "apps/iml/metrics.h"
#include "apps/iml/progress.h"
#include "apps/iml/run_folder.h"
#include "kernels/threads.h"

namespace bp {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kTopShare = 0.01;      // of the pixels: those that "score_top" is the mean of
constexpr double kLeastShare = 0.0005;  // of the pixels: smaller regions are counted, not listed

void require_distinct_outputs(const std::vector<ImageFile>& images) {
  std::map<std::string, std::string> owner;
  for (const ImageFile& image : images) {
    const auto [it, is_new] = owner.emplace(picture_path("", "", image).string(), image.path.string());
    require(is_new, "locate: ", it->second, " and ", image.path.string(), " would write the same mask, ",
            it->first);
  }
}

std::uintmax_t bytes_of(const fs::path& path) {
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  return error ? 0 : bytes;
}

// The last record of each image; what a kill left half-written is passed over.
std::map<std::string, Json> read_records(const fs::path& jsonl) {
  std::map<std::string, Json> records;
  std::ifstream in(jsonl);
  for (std::string line; std::getline(in, line);) {
    Json j = Json::parse(line, nullptr, false);
    if (!j.is_object() || !j.contains("image") || !j["image"].is_string() || !j.contains("bytes") ||
        !j["bytes"].is_number_unsigned())
      continue;
    const auto key = j["image"].get<std::string>();
    records[key] = std::move(j);
  }
  return records;
}

Json json_of(const Polygon& polygon) {
  Json points = Json::array();
  for (const Vertex& v : polygon) points.push_back({v.x, v.y});
  return points;
}

Json regions_json(const std::vector<MaskRegion>& regions, double least) {
  Json list = Json::array();
  for (const MaskRegion& r : regions) {
    if (static_cast<double>(r.area) < least && !list.empty()) break;
    Json holes = Json::array();
    for (const Polygon& hole : r.holes)
      if (-signed_area(hole) >= least) holes.push_back(json_of(hole));
    list.push_back({{"area", r.area},
                    {"mean", r.mean},
                    {"box", {r.x0, r.y0, r.x1, r.y1}},
                    {"polygon", json_of(r.outline)},
                    {"holes", holes}});
  }
  return list;
}

struct Work {
  const ImageFile* file = nullptr;
  Tensor image, map;
  Json record;
  std::string error;
};

// Writes the pictures and makes the record.
void finish(Work& work, const LocateOptions& o) {
  const i64 height = work.image.dim(0), width = work.image.dim(1), pixels = height * width;
  const float* p = work.map.data<float>();
  Tensor mask = empty({height, width}, DType::u8), soft = empty({height, width}, DType::u8);
  for (i64 i = 0; i < pixels; ++i) {
    mask.data<u8>()[i] = static_cast<double>(p[i]) > o.threshold ? 255 : 0;
    soft.data<u8>()[i] = static_cast<u8>(std::lround(255 * p[i]));
  }
  if (o.heat) save_in_folder(picture_path(o.out, "heat", *work.file), heat_overlay(work.image, soft, mask));
  if (o.soft) save_in_folder(picture_path(o.out, "soft", *work.file), soft);
  if (o.mask) save_in_folder(picture_path(o.out, "masks", *work.file), mask);

  const auto top = std::max<i64>(1, std::llround(kTopShare * static_cast<double>(pixels)));
  const double score = image_score(work.map, 1);
  const auto regions =
      regions_of(mask, std::max(1.0, static_cast<double>(std::max(height, width)) / 500), work.map);
  Json listed = regions_json(regions, kLeastShare * static_cast<double>(pixels));
  const std::size_t small = regions.size() - listed.size();
  work.record = {{"image", work.file->key},
                 {"bytes", bytes_of(work.file->path)},
                 {"width", width},
                 {"height", height},
                 {"score_max", score},
                 {"score_top", image_score(work.map, top)},
                 {"manipulated", score > o.threshold},
                 {"area", mask_area(mask)},
                 {"small_regions", small},
                 {"regions", std::move(listed)}};
}

// What throws an Error for one image fails that image.
template <class F>
void each(std::vector<Work>& works, const F& f) {
  parallel_for(static_cast<i64>(works.size()), 1, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      Work& work = works[static_cast<std::size_t>(i)];
      if (!work.error.empty()) continue;
      try {
        f(work);
      } catch (const Error& e) {
        work.error = work.file->key + ": " + e.what();
      }
    }
  });
}

void map_images(std::vector<Work>& works, const Localizer& localizer, const LocateOptions& o) {
  std::vector<Tensor> images;
  for (const Work& work : works)
    if (work.error.empty()) images.push_back(work.image);
  if (images.empty()) return;
  std::vector<Tensor> maps;
  if (o.tiling)
    for (const Tensor& image : images) maps.push_back(tiled_map(localizer, image, *o.tiling));
  else
    maps = localizer.maps(images);
  std::size_t next = 0;
  for (Work& work : works)
    if (work.error.empty()) work.map = maps[next++];
}

std::string line_of(const Json& record) {
  return record.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

LocateReport locate(const std::vector<ImageFile>& images, const Localizer& localizer,
                    const LocateOptions& options, const std::function<bool()>& stop) {
  require(options.batch >= 1, "locate: a batch of ", options.batch);
  require_distinct_outputs(images);
  claim_folder(options.out, options.settings, options.force);
  const fs::path jsonl = options.out / "locate.jsonl";
  if (options.force) {
    std::error_code ignored;
    fs::remove(jsonl, ignored);
  }
  const auto before = read_records(jsonl);
  RecordFile records(jsonl);
  const auto is_done = [&](const ImageFile& image) {
    const auto it = before.find(image.key);
    return it != before.end() && it->second["bytes"].get<std::uintmax_t>() == bytes_of(image.path) &&
           (!options.mask || fs::exists(picture_path(options.out, "masks", image))) &&
           (!options.soft || fs::exists(picture_path(options.out, "soft", image))) &&
           (!options.heat || fs::exists(picture_path(options.out, "heat", image)));
  };

  LocateReport report;
  Progress progress("locate", images.size());
  std::vector<std::string> lines(images.size());
  std::vector<Work> works;
  std::vector<std::size_t> places;
  const auto run = [&] {
    each(works, [](Work& work) { work.image = load_image(work.file->path); });
    map_images(works, localizer, options);
    each(works, [&](Work& work) { finish(work, options); });
    for (std::size_t i = 0; i < works.size(); ++i) {
      if (works[i].error.empty()) {
        lines[places[i]] = line_of(works[i].record);
        records.append(lines[places[i]] + "\n");
        ++report.done;
      } else {
        report.failed.push_back(works[i].error);
        progress.say(one_line(works[i].error));
      }
      progress.advance();
    }
    works.clear();
    places.clear();
  };
  for (std::size_t i = 0; i < images.size() && !report.interrupted; ++i) {
    if (is_done(images[i])) {
      lines[i] = line_of(before.at(images[i].key));
      ++report.skipped;
      progress.skip();
      continue;
    }
    works.push_back({.file = &images[i], .image = {}, .map = {}, .record = {}, .error = {}});
    places.push_back(i);
    if (static_cast<i64>(works.size()) < options.batch) continue;
    if (stop())
      report.interrupted = true;
    else
      run();
  }
  if (!report.interrupted && !works.empty()) {
    if (stop())
      report.interrupted = true;
    else
      run();
  }
  progress.finish();
  for (std::string& line : lines)
    if (!line.empty()) report.records.push_back(std::move(line));
  return report;
}

}  // namespace bp
