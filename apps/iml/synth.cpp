#include "apps/iml/synth.h"

#include <atomic>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/iml/files.h"
#include "apps/iml/image.h"
#include "apps/iml/progress.h"
#include "apps/iml/run_folder.h"
#include "engine/error.h"
#include "kernels/threads.h"

namespace bp {
namespace {

using Json = nlohmann::ordered_json;

std::string stem_of(i64 index) {
  char name[24];
  std::snprintf(name, sizeof name, "%06lld", static_cast<long long>(index));
  return name;
}

// What is known of the images that are done, by index. While a run lasts, records are appended to a journal;
// at its end all of them are in synth.json, in order.
class Records {
 public:
  explicit Records(const SynthOptions& options)
      : out_(options.out), journal_path_(options.out / ".synth.jsonl") {
    if (options.force) {
      std::error_code ignored;
      fs::remove(journal_path_, ignored);
      fs::remove(out_ / "synth.json", ignored);
    } else {
      read_earlier();
    }
    journal_ = std::make_unique<RecordFile>(journal_path_);
  }

  // The image and its mask must be there, too.
  bool has(i64 index) const {
    const auto it = done_.find(index);
    if (it == done_.end()) return false;
    std::error_code error;
    const std::string image = it->second.value("image", "");
    return fs::is_regular_file(out_ / image, error) &&
           (!image.starts_with("Tp/") || fs::is_regular_file(out_ / "Gt" / (stem_of(index) + ".png"), error));
  }
  void add(i64 index, Json record) {
    const std::lock_guard lock(mutex_);
    journal_->append(record.dump() + "\n");
    done_[index] = std::move(record);
  }

  // Of the first `count` images.
  std::map<std::string, std::size_t> kinds(i64 count) const {
    std::map<std::string, std::size_t> kinds;
    for (auto it = done_.begin(); it != done_.end() && it->first < count; ++it)
      ++kinds[it->second.value("kind", "")];
    return kinds;
  }
  void finish(const std::map<std::string, std::string>& settings) {
    Json images = Json::array();
    for (const auto& [index, record] : done_) images.push_back(record);
    write_file(out_ / "synth.json", Json{{"settings", settings}, {"images", images}}.dump(1) + "\n");
    write_file(out_ / "boxes.json", coco().dump(1) + "\n");
    journal_.reset();
    std::error_code ignored;
    fs::remove(journal_path_, ignored);
  }

 private:
  void read_earlier() {
    if (fs::exists(out_ / "synth.json")) {
      const Json earlier = Json::parse(read_file(out_ / "synth.json"), nullptr, false);
      if (earlier.is_object() && earlier.contains("images") && earlier["images"].is_array())
        for (const Json& record : earlier["images"]) take(record);
    }
    if (!fs::exists(journal_path_)) return;
    const std::string lines = read_file(journal_path_);
    for (std::size_t begin = 0; begin < lines.size();) {
      const std::size_t end = std::min(lines.find('\n', begin), lines.size());
      take(Json::parse(lines.substr(begin, end - begin), nullptr, false));
      begin = end + 1;
    }
  }
  // What a kill or an editor left half is made again.
  void take(const Json& record) {
    if (!record.is_object() || !record.contains("index") || !record["index"].is_number_integer()) return;
    if (!record.contains("image") || !record["image"].is_string() || !record.contains("kind") ||
        !record["kind"].is_string() || !record.contains("boxes") || !record["boxes"].is_array())
      return;
    done_[record["index"].get<i64>()] = record;
  }

  Json coco() const {
    Json images = Json::array(), annotations = Json::array();
    for (const auto& [index, record] : done_) {
      if (record["boxes"].empty()) continue;
      images.push_back({{"id", index},
                        {"file_name", record["image"]},
                        {"width", record.value("width", 0)},
                        {"height", record.value("height", 0)}});
      for (const Json& b : record["boxes"]) {
        const auto at = [&](std::size_t i) { return b.at(i).get<double>(); };
        const auto tenth = [](double v) { return std::round(v * 10) / 10; };
        const double w = tenth(at(2) - at(0)), h = tenth(at(3) - at(1));
        annotations.push_back({{"id", annotations.size() + 1},
                               {"image_id", index},
                               {"category_id", 1},
                               {"bbox", {at(0), at(1), w, h}},
                               {"area", std::round(w * h)},
                               {"iscrowd", 0}});
      }
    }
    return {{"images", images},
            {"annotations", annotations},
            {"categories", Json::array({{{"id", 1}, {"name", "manipulated"}}})}};
  }

  const fs::path out_, journal_path_;
  std::mutex mutex_;
  std::unique_ptr<RecordFile> journal_;
  std::map<i64, Json> done_;
};

// The mask first: an image without its mask would count as one that does not pair.
Json write_sample(const fs::path& out, i64 index, const SyntheticSample& sample) {
  const std::string stem = stem_of(index);
  if (sample.mask) save_png(out / "Gt" / (stem + ".png"), sample.mask);
  const std::string name = (sample.mask ? "Tp/" : "Au/") + stem + (sample.compression ? ".jpg" : ".png");
  if (sample.compression)
    write_file(out / name,
               encode_jpeg(sample.image, sample.compression->quality, sample.compression->subsampling));
  else
    save_png(out / name, sample.image);
  Json record{{"index", index}, {"image", name}};
  record.update(sample.record);
  record["boxes"] = Json::array();
  for (const Box& b : sample.boxes) record["boxes"].push_back({b.x0, b.y0, b.x1, b.y1});
  return record;
}

}  // namespace

bool is_authentic(i64 index, double share) {
  const auto up_to = [&](i64 n) { return std::floor(static_cast<double>(n) * share + 1e-9); };
  return up_to(index + 1) > up_to(index);
}

SynthReport synth(const SynthOptions& o, SourceStore& photos, SourceStore* cutouts,
                  const std::function<bool()>& interrupted) {
  claim_folder(o.out, o.settings, o.force);
  for (const char* folder : {"Tp", "Gt", "Au"})
    if (folder[0] != 'A' || o.authentic > 0) make_folder(o.out / folder);
  Records records(o);
  std::vector<i64> wanted;
  for (i64 i = 0; i < o.count; ++i)
    if (!records.has(i)) wanted.push_back(i);

  SynthReport report;
  report.skipped = static_cast<std::size_t>(o.count) - wanted.size();
  Progress progress("synth", static_cast<std::size_t>(o.count));
  for (std::size_t i = 0; i < report.skipped; ++i) progress.skip();
  std::atomic<std::size_t> made{0};
  parallel_for(static_cast<i64>(wanted.size()), 1, [&](i64 begin, i64 end) {
    for (i64 n = begin; n < end && !interrupted(); ++n) {
      const i64 index = wanted[static_cast<std::size_t>(n)];
      const auto sample = make_sample(index, is_authentic(index, o.authentic), o.sample, photos, cutouts);
      records.add(index, write_sample(o.out, index, sample));
      ++made;
      progress.advance();
    }
  });
  report.made = made;
  report.interrupted = report.made < wanted.size();
  report.kinds = records.kinds(o.count);
  report.unreadable = photos.unreadable();
  if (cutouts)
    for (const std::string& line : cutouts->unreadable()) report.unreadable.push_back(line);
  if (!report.interrupted) records.finish(o.settings);
  return report;
}

}  // namespace bp
