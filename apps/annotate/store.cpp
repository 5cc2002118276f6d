#include "apps/annotate/store.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>

#include "apps/iml/boxes_parse.h"
#include "apps/iml/files.h"
#include "apps/iml/rle.h"
#include "engine/error.h"

namespace bp::annotate {
namespace {

constexpr const char* kOurs = "boxprompt annotate";
constexpr i64 kIdsPerImage = 10000;  // ids of an image's boxes do not depend on other images

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string image_line(const std::string& name, i64 id, const ImageSize& size, const Annotation& a) {
  nlohmann::ordered_json line{{"id", id}, {"file_name", name}};
  if (!a.open()) line.update({{"width", size.width}, {"height", size.height}, {"authentic", a.authentic}});
  line.update({{"seconds", a.seconds}, {"version", a.version}});
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string box_line(i64 image_id, std::size_t index, const ImageSize& size, const DrawnBox& box) {
  const Prompt& p = box.prompt;
  const double w = p.x1 - p.x0, h = p.y1 - p.y0;
  nlohmann::ordered_json points = Json::array();
  for (const PromptPoint& point : p.points) points.push_back({point.x, point.y, point.positive ? 1 : 0});
  nlohmann::ordered_json segmentation = Json::array();
  if (!box.mask.empty()) segmentation = {{"size", {size.height, size.width}}, {"counts", box.mask}};
  return nlohmann::ordered_json{{"id", image_id * kIdsPerImage + static_cast<i64>(index) + 1},
                                {"image_id", image_id},
                                {"category_id", 1},
                                {"bbox", {p.x0, p.y0, w, h}},
                                {"area", box.mask.empty() ? w * h : static_cast<double>(box.area)},
                                {"iscrowd", 0},
                                {"segmentation", segmentation},
                                {"predicted_iou", box.iou ? Json(*box.iou) : Json()},
                                {"box", {p.x0, p.y0, p.x1, p.y1}},
                                {"points", points},
                                {"choice", box.choice ? Json(*box.choice) : Json()}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

DrawnBox parse_box(const Json& json, const ImageSize& size) {
  DrawnBox box;
  const auto corners = json.at("box").get<std::array<double, 4>>();
  box.prompt = {corners[0], corners[1], corners[2], corners[3], {}};
  for (const Json& point : json.at("points"))
    box.prompt.points.push_back(
        {point.at(0).get<double>(), point.at(1).get<double>(), point.at(2).get<int>() != 0});
  if (!json.at("choice").is_null()) box.choice = json["choice"].get<int>();
  if (!json.at("predicted_iou").is_null()) box.iou = json["predicted_iou"].get<double>();
  const Json& segmentation = json.at("segmentation");
  if (segmentation.is_object()) {
    box.mask = segmentation.at("counts").get<std::string>();
    box.area = area_of(rle_from_text(box.mask, size.height, size.width));
  }
  return box;
}

void append_list(std::string& out, const std::vector<const std::string*>& lines) {
  out += '[';
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += i ? ",\n" : "\n";
    out += *lines[i];
  }
  out += lines.empty() ? "]" : "\n]";
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& path, const std::string& what) : path_(path) {
  for (;;) {
    file_ = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    require(file_ >= 0, path.string(), ": cannot write: ", std::strerror(errno));
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      ::close(file_);
      file_ = -1;
      fail(what, ": in use by another 'boxprompt annotate'");
    }
    // It may have been removed by its last holder between open and flock.
    struct stat mine {
    }, there{};
    if (::fstat(file_, &mine) == 0 && ::stat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino)
      return;
    ::close(file_);
  }
}

void FileLock::release() {
  if (file_ < 0) return;
  ::unlink(path_.c_str());
  ::close(file_);
  file_ = -1;
}

Store::Store(const std::filesystem::path& file, const std::vector<std::string>& names)
    : file_(file), lock_(file.parent_path() / ("." + file.filename().string() + ".lock"), file.string()) {
  for (const std::string& name : names) records_.push_back({name, 0, {}, {}, {}, {}});
  seen_ = look();
  if (seen_.there) load();
}

Store::Seen Store::look() const {
  struct stat s {};
  if (::stat(file_.c_str(), &s) != 0) return {};
  return {true, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ino};
}

void Store::load() {
  const Json json = detail::parse_json(file_.string(), read_file(file_));
  const bool ours = json.is_object() && json.contains("info") && json["info"].is_object() &&
                    json["info"].value("description", Json()) == kOurs;
  require(ours, file_.string(), ": was not written by '", kOurs, "' and would be overwritten; see --output");
  try {
    std::unordered_map<std::string, std::size_t> by_name;
    // A name that is no UTF-8 stands in the file as line_of writes it.
    for (std::size_t i = 0; i < records_.size(); ++i) by_name[line_of(records_[i].name)] = i;
    std::unordered_map<i64, std::size_t> by_id;
    const auto read_image = [&](const Json& image, std::vector<std::string>& others) {
      const i64 id = image.at("id").get<i64>();
      next_id_ = std::max(next_id_, id + 1);
      const auto known = by_name.find(line_of(image.at("file_name")));
      if (known == by_name.end()) {
        others.push_back(line_of(image));
        return;
      }
      by_id[id] = known->second;
      Record& r = records_[known->second];
      r.id = id;
      r.size = {image.value("width", i64{0}), image.value("height", i64{0})};
      r.annotation.version = image.at("version").get<i64>();
      r.annotation.seconds = image.at("seconds").get<double>();
      r.annotation.authentic = image.value("authentic", false);
    };
    for (const Json& image : json.at("images")) read_image(image, other_images_);
    for (const Json& image : json.at("open")) read_image(image, other_open_);
    for (const Json& box : json.at("annotations")) {
      const auto known = by_id.find(box.at("image_id").get<i64>());
      if (known == by_id.end()) {
        other_boxes_.push_back(line_of(box));
        continue;
      }
      Record& r = records_[known->second];
      r.annotation.boxes.push_back(parse_box(box, r.size));
    }
  } catch (const Json::exception& e) {
    fail(file_.string(), ": ", one_line(e.what()));
  } catch (const Error& e) {
    fail(file_.string(), ": ", e.what());
  }
  for (Record& r : records_) {
    if (r.id == 0) continue;
    r.image_line = image_line(r.name, r.id, r.size, r.annotation);
    for (std::size_t b = 0; b < r.annotation.boxes.size(); ++b)
      r.box_lines += (b ? ",\n" : "") + box_line(r.id, b, r.size, r.annotation.boxes[b]);
  }
}

Annotation Store::get(std::size_t image) const {
  const std::lock_guard lock(mutex_);
  return records_.at(image).annotation;
}

std::vector<Annotation> Store::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Annotation> result;
  for (const Record& r : records_) {
    Annotation a{r.annotation.version, r.annotation.authentic, r.annotation.seconds, {}};
    a.boxes.resize(r.annotation.boxes.size());
    result.push_back(std::move(a));
  }
  return result;
}

bool Store::put(std::size_t image, Annotation next, const ImageSize& size) {
  const std::lock_guard writing(writing_);
  Record r = records_.at(image);  // only writers change it
  if (r.annotation.version != next.version) return false;
  const bool same_size = r.size.width == size.width && r.size.height == size.height;
  for (DrawnBox& box : next.boxes)
    for (const DrawnBox& old : r.annotation.boxes)
      if (same_size && box.same_prompt(old) && !old.mask.empty()) {
        box.mask = old.mask;
        box.area = old.area;
        box.iou = old.iou;
      }
  ++next.version;
  r.annotation = std::move(next);
  r.size = size;
  if (r.id == 0) r.id = next_id_;
  write_with(image, r);
  next_id_ = std::max(next_id_, r.id + 1);
  return true;
}

void Store::add_masks(std::size_t image, const std::vector<DrawnBox>& boxes) {
  const std::lock_guard writing(writing_);
  Record r = records_.at(image);
  bool changed = false;
  for (DrawnBox& stored : r.annotation.boxes)
    for (const DrawnBox& box : boxes)
      if (stored.mask.empty() && stored.same_prompt(box)) {
        stored = box;
        changed = true;
      }
  if (changed) write_with(image, r);
}

// The file with `changed` in place of the image's record, then the record itself.
void Store::write_with(std::size_t image, const Record& changed) {
  Record r = changed;
  r.image_line = image_line(r.name, r.id, r.size, r.annotation);
  r.box_lines.clear();
  for (std::size_t b = 0; b < r.annotation.boxes.size(); ++b)
    r.box_lines += (b ? ",\n" : "") + box_line(r.id, b, r.size, r.annotation.boxes[b]);

  std::vector<const std::string*> images, boxes, open;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    const Record& one = i == image ? r : records_[i];
    if (one.id == 0) continue;
    // Readers take an image without boxes for an authentic one, so open images stand elsewhere.
    (one.annotation.open() ? open : images).push_back(&one.image_line);
    if (!one.box_lines.empty()) boxes.push_back(&one.box_lines);
  }
  for (const std::string& line : other_images_) images.push_back(&line);
  for (const std::string& line : other_boxes_) boxes.push_back(&line);
  for (const std::string& line : other_open_) open.push_back(&line);
  std::string out = text("{\"info\": {\"description\": \"", kOurs, "\", \"version\": \"1\"},\n",
                         "\"categories\": [{\"id\": 1, \"name\": \"manipulated\"}],\n\"images\": ");
  append_list(out, images);
  out += ",\n\"annotations\": ";
  append_list(out, boxes);
  out += ",\n\"open\": ";
  append_list(out, open);
  out += "}\n";

  const Seen now = look();
  require(!now.there || now == seen_, file_.string(),
          ": was changed by another program; end and start again to go on from it");
  write_file(file_, out);
  seen_ = look();
  const std::lock_guard lock(mutex_);
  records_[image] = std::move(r);
}

}  // namespace bp::annotate
