#include "apps/iml/teach.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "apps/iml/draw.h"
#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "apps/iml/progress.h"
#include "apps/iml/run_folder.h"
#include "apps/iml/teach_records.h"

namespace bp {
namespace {

void require_distinct_outputs(const std::vector<Task>& tasks) {
  std::map<std::string, std::string> owner;
  for (const Task& t : tasks) {
    const auto [it, is_new] = owner.emplace(picture_path("", "", t.image).string(), t.image.key);
    require(is_new, "teach: ", it->second, " and ", t.image.key, " would write the same mask, ", it->first);
  }
}

struct Pictures {
  Tensor mask, soft;  // u8 [H,W]
  std::vector<Record> records;
  std::vector<Box> boxes;
};

Pictures ask(const Task& task, const Tensor& image, Teacher& teacher, Progress& progress) {
  const i64 height = image.dim(0), width = image.dim(1);
  Pictures p;
  std::vector<std::string> notes;
  p.boxes = task.boxes(width, height, notes);
  for (const auto& note : notes) progress.say("note: " + note);
  p.mask = zeros({height, width}, DType::u8);
  p.soft = zeros({height, width}, DType::u8);
  if (p.boxes.empty()) {
    p.records.push_back({.image = task.image.key, .annotation = task.annotation});
    return p;
  }
  teacher.look(image);
  Tensor highest = full({height, width}, -INFINITY);  // logits, united over the boxes
  float* top = highest.data<float>();
  teacher.ask(p.boxes, [&](std::size_t i, const Answer& answer) {
    require(answer.logits.shape() == Shape{height, width}, "teach: logits ", answer.logits.shape());
    const float* logits = answer.logits.data<float>();
    i64 area = 0;
    for (i64 j = 0; j < height * width; ++j) {
      require(!std::isnan(logits[j]), "the teacher's logits are NaN: are the weights whole?");
      area += logits[j] > 0;
      top[j] = std::max(top[j], logits[j]);
    }
    p.records.push_back({task.image.key, task.annotation, static_cast<int>(i),
                         static_cast<int>(p.boxes.size()), p.boxes[i], answer.predicted_iou,
                         sam::stability_score(answer.logits), area, answer.seconds});
  });
  const Tensor probability = sigmoid(highest);
  const float* chance = probability.data<float>();
  for (i64 j = 0; j < height * width; ++j) {
    p.mask.data<u8>()[j] = top[j] > 0 ? 255 : 0;
    p.soft.data<u8>()[j] = static_cast<u8>(std::lround(255 * chance[j]));
  }
  return p;
}

Tensor preview(const Tensor& image, const Pictures& p) {
  Tensor drawn = overlay(image, p.mask);
  for (std::size_t i = 0; i < p.boxes.size(); ++i) {
    char label[32];
    std::snprintf(label, sizeof label, "IoU %.2f", p.records[i].predicted_iou);
    draw_box(drawn, p.boxes[i], label);
  }
  return drawn;
}

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x;
  return v.empty() ? 0 : sum / static_cast<double>(v.size());
}
double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  const auto middle = v.size() / 2;
  return v.size() % 2 ? v[middle] : (v[middle - 1] + v[middle]) / 2;
}

}  // namespace

TeachReport teach(const std::vector<Task>& tasks, Teacher& teacher, const TeachOptions& options,
                  const std::function<bool()>& stop) {
  require_distinct_outputs(tasks);
  claim_folder(options.out, options.settings, options.force);
  if (options.force) {
    std::error_code ignored;
    fs::remove(options.out / "teach.jsonl", ignored);
  }
  const auto before = read_records(options.out / "teach.jsonl");
  RecordFile records(options.out / "teach.jsonl");

  const auto is_done = [&](const Task& t) {
    const auto it = before.find(t.image.key);
    return it != before.end() && it->second[0].annotation == t.annotation &&
           fs::exists(picture_path(options.out, "masks", t.image)) &&
           (!options.soft || fs::exists(picture_path(options.out, "soft", t.image))) &&
           (!options.preview || fs::exists(picture_path(options.out, "preview", t.image)));
  };

  TeachReport report;
  Progress progress("teach", tasks.size());
  for (const Task& task : tasks) {
    if (stop()) {
      report.interrupted = true;
      break;
    }
    if (is_done(task)) {
      ++report.skipped;
      progress.skip();
      continue;
    }
    try {
      const Tensor image = load_image(task.image.path);
      const Pictures p = ask(task, image, teacher, progress);
      if (options.soft) save_in_folder(picture_path(options.out, "soft", task.image), p.soft);
      if (options.preview)
        save_in_folder(picture_path(options.out, "preview", task.image), preview(image, p));
      save_in_folder(picture_path(options.out, "masks", task.image), p.mask);
      std::string lines;
      for (const Record& r : p.records) lines += to_line(r);
      records.append(lines);
      ++report.done;
      report.boxes += p.boxes.size();
    } catch (const Error& e) {
      report.failed.push_back(task.image.key + ": " + e.what());
      progress.say(report.failed.back());
    }
    progress.advance();
  }
  progress.finish();
  return report;
}

Score score(const std::vector<Task>& tasks, const fs::path& out, const fs::path& truth) {
  const auto records = read_records(out / "teach.jsonl");
  std::vector<ImageFile> images;
  images.reserve(tasks.size());
  for (const Task& t : tasks) images.push_back(t.image);
  const MaskPairs pairs = pair_masks(images, truth);

  Score s;
  std::vector<double> teacher, box;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto it = records.find(images[i].key);
    if (it == records.end() || it->second[0].boxes == 0) continue;
    const auto skip = [&](const std::string& why) { s.not_scored.push_back(images[i].key + ": " + why); };
    if (pairs.masks[i].empty()) {
      skip("no true mask in " + truth.string());
      continue;
    }
    try {
      const Tensor wanted = load_mask(pairs.masks[i]), got = load_mask(picture_path(out, "masks", images[i]));
      require(wanted.shape() == got.shape(), pairs.masks[i].string(), ": ", wanted.dim(1), "x", wanted.dim(0),
              ", but the image is ", got.dim(1), "x", got.dim(0));
      Tensor boxes = zeros(got.shape(), DType::u8);
      for (const Record& r : it->second) fill_box(boxes, r.box);
      s.rows.push_back({images[i].key, mask_iou(got, wanted), mask_iou(boxes, wanted)});
      teacher.push_back(s.rows.back().teacher);
      box.push_back(s.rows.back().box);
    } catch (const Error& e) {
      skip(e.what());
    }
  }
  s.teacher_mean = mean(teacher), s.teacher_median = median(teacher);
  s.box_mean = mean(box), s.box_median = median(box);
  return s;
}

}  // namespace bp
