// boxprompt teach: images and boxes to pseudo masks.
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "apps/boxprompt/device_option.h"
#include "apps/iml/image.h"
#include "apps/iml/progress.h"
#include "apps/iml/run_folder.h"
#include "apps/iml/teach.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kNoTeacher = "box";

struct Options {
  std::string images, boxes, masks, weights, out, truth, select = "single", device;
  DType dtype = DType::f32;
  MaskBoxOptions from_masks;
  int refine = 0;
  bool recursive = false, soft = false, preview = false, force = false, json = false;
};

struct Plan {
  std::vector<Task> tasks;
  std::vector<std::string> problems;  // what could not be matched
  std::vector<std::string> notes;     // worth a line, no failure
};

// Identifies an annotation by its coordinates.
std::string annotation_of(const BoxSet& set, const ImageBoxes& entry) {
  std::string id = name_of(set.format);
  for (const Box& b : entry.boxes)
    for (double v : {b.x0, b.y0, b.x1, b.y1}) id += " " + shortest(v);
  return id;
}

Plan plan_from_boxes(const Options& o, std::span<const ImageFile> images) {
  Plan plan;
  const auto set = std::make_shared<const BoxSet>(load_boxes(o.boxes));
  const BoxMatches matches = match_boxes(*set, images);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const ImageBoxes* entry = matches.entries[i];
    if (!entry) continue;
    plan.tasks.push_back({images[i], annotation_of(*set, *entry),
                          [set, entry](i64 width, i64 height, std::vector<std::string>& notes) {
                            return boxes_in_image(*set, *entry, width, height, notes);
                          }});
  }
  for (const auto& name : matches.missing)
    plan.problems.push_back(name + ": annotated in " + set->source + ", but no such image in " + o.images);
  for (const auto& line : matches.ambiguous) plan.problems.push_back(line + ": ambiguous in " + set->source);
  for (const auto& key : matches.without_boxes)
    plan.notes.push_back(key + ": not in " + set->source + ", left out");
  return plan;
}

Plan plan_from_masks(const Options& o, std::span<const ImageFile> images) {
  Plan plan;
  const MaskPairs pairs = pair_masks(images, o.masks);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const fs::path mask = pairs.masks[i];
    if (mask.empty()) continue;
    const ImageFile image = images[i];
    const std::string annotation = "mask " + mask.string() + " jitter " + shortest(o.from_masks.jitter) +
                                   " seed " + std::to_string(o.from_masks.seed);
    plan.tasks.push_back(
        {image, annotation,
         [mask, image, options = o.from_masks](i64 width, i64 height, std::vector<std::string>&) {
           const Tensor m = load_mask(mask);
           require(m.dim(1) == width && m.dim(0) == height, mask.string(), ": ", m.dim(1), "x", m.dim(0),
                   ", but the image is ", width, "x", height);
           return boxes_from_mask(m, options, image.key);
         }});
  }
  for (const auto& line : pairs.ambiguous) plan.problems.push_back(line + ": ambiguous in " + o.masks);
  for (const auto& key : pairs.lone_images)
    plan.notes.push_back(key + ": no mask in " + o.masks + ", left out");
  for (const auto& name : pairs.lone_masks) plan.notes.push_back(name + ": belongs to no image");
  return plan;
}

Json to_json(const TeachReport& r, const Plan& plan, const Score* s) {
  std::vector<std::string> failed = r.failed;
  failed.insert(failed.end(), plan.problems.begin(), plan.problems.end());
  Json report{{"done", r.done}, {"skipped", r.skipped}, {"boxes", r.boxes}, {"failed", failed}};
  if (s) {
    Json rows = Json::array();
    for (const auto& row : s->rows)
      rows.push_back({{"image", row.image}, {"teacher_iou", row.teacher}, {"box_iou", row.box}});
    report["score"] = {{"images", s->rows.size()},
                       {"teacher_mean_iou", s->teacher_mean},
                       {"teacher_median_iou", s->teacher_median},
                       {"box_mean_iou", s->box_mean},
                       {"box_median_iou", s->box_median},
                       {"not_scored", s->not_scored},
                       {"per_image", rows}};
  }
  return report;
}

void print(const TeachReport& r, const std::string& out, const Score* s) {
  std::printf("%zu images done, %zu boxes, %zu were done before: %s\n", r.done, r.boxes, r.skipped,
              out.c_str());
  if (!s) return;
  std::printf("\nIoU with the true masks, %zu images\n%-12s %8s %8s\n", s->rows.size(), "", "mean", "median");
  std::printf("%-12s %8.4f %8.4f\n%-12s %8.4f %8.4f\n", "teacher", s->teacher_mean, s->teacher_median,
              "bare box", s->box_mean, s->box_median);
}

void run_teach(const Options& o) {
  require(o.boxes.empty() != o.masks.empty(), "teach: give either --boxes or --boxes-from-masks");
  const auto images = list_images(o.images, o.recursive);
  const Plan plan = o.boxes.empty() ? plan_from_masks(o, images) : plan_from_boxes(o, images);
  list_lines(plan.notes, "note: ");
  list_lines(plan.problems, "problem: ");
  require(!plan.tasks.empty(), "teach: none of the ", images.size(), " images in ", o.images,
          " has boxes in ", o.boxes.empty() ? o.masks : o.boxes);

  std::unique_ptr<sam::Sam> net;
  std::unique_ptr<Teacher> teacher;
  std::map<std::string, std::string> settings{{"teacher", "box"}};
  if (o.weights == kNoTeacher) {
    teacher = std::make_unique<BoxTeacher>();
  } else {
    net = load_sam(o.weights, parse_device(o.device), o.dtype);
    teacher =
        std::make_unique<SamTeacher>(*net, SamTeacherOptions{.best = o.select == "best", .refine = o.refine});
    settings = {
        {"teacher", "sam_" + net->variant()},
        {"weights", text(fs::path(o.weights).filename().string(), ", ", fs::file_size(o.weights), " bytes")},
        {"dtype", name_of(o.dtype)},
        {"select", o.select},
        {"refine", std::to_string(o.refine)}};
  }
  const TeachOptions options{
      .out = o.out, .soft = o.soft, .preview = o.preview, .force = o.force, .settings = settings};
  catch_interrupts();
  const TeachReport report = teach(plan.tasks, *teacher, options, interrupted);

  Score scored;
  if (!o.truth.empty() && !report.interrupted) {
    scored = score(plan.tasks, o.out, o.truth);
    list_lines(scored.not_scored, "not scored: ");
  }
  const Score* s = o.truth.empty() || report.interrupted ? nullptr : &scored;
  if (o.json)
    std::cout << to_json(report, plan, s).dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  else
    print(report, o.out, s);
  std::fflush(stdout);
  if (report.interrupted) throw Interrupted("teach: interrupted; run the same command again to go on");
  const auto failures = report.failed.size() + plan.problems.size();
  if (failures == 0) return;
  std::cerr << "failed:\n";
  list_lines(report.failed, "  ");
  list_lines(plan.problems, "  ");
  fail("teach: ", failures, " of ", images.size() + plan.problems.size(), " images failed, see above");
}

}  // namespace

void add_teach(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("teach", "Turn images and coarse boxes into pseudo masks");
  command->add_option("IMAGES", o->images, "An image, a folder, or a text file with one image per line")
      ->required();
  command->add_flag("--recursive", o->recursive, "Descend into subfolders");
  auto* boxes =
      command->add_option("--boxes", o->boxes,
                          "COCO, LabelMe or VIA json, CVAT xml, VIA or plain csv, or a folder of YOLO txt or "
                          "LabelMe json");
  auto* masks =
      command->add_option("--boxes-from-masks", o->masks, "Take boxes from the true masks in this folder");
  boxes->excludes(masks);
  command->add_option("--jitter", o->from_masks.jitter, "Move each side by up to this share of the box")
      ->check(CLI::Range(0.0, 0.49))
      ->needs(masks);
  command->add_option("--seed", o->from_masks.seed, "Of the jitter")->needs(masks);
  command->add_flag("--merge-boxes", o->from_masks.merge, "One box around all regions of a mask")
      ->needs(masks);
  command
      ->add_option("--weights", o->weights,
                   "A SAM checkpoint: .pth or safetensors, any variant; or 'box': no teacher, the boxes "
                   "themselves are the masks")
      ->required();
  command->add_option("-o,--out", o->out, "Folder for masks/, teach.jsonl and the rest")->required();
  command->add_flag("--soft", o->soft, "Also write 8-bit probability maps to OUT/soft");
  command->add_flag("--preview", o->preview,
                    "Also write overlays with boxes and predicted IoU to OUT/preview");
  command
      ->add_option("--select", o->select,
                   "single: SAM's mask for clear prompts; best: of its three, by predicted IoU")
      ->check(CLI::IsMember({"single", "best"}))
      ->capture_default_str();
  command->add_option("--refine", o->refine, "Feed the logits back this many times")
      ->check(CLI::Range(0, 10));
  command->add_option("--score", o->truth, "Folder of true masks: print the IoU of teacher and bare boxes");
  add_device_option(command, o->device);
  add_dtype_option(command, o->dtype, "The teacher's image encoder");
  command->add_flag("--force", o->force, "Begin anew, whatever OUT holds");
  command->add_flag("--json", o->json, "Print one JSON object");
  command->footer(
      "Several boxes of an image are decoded one by one and their masks united. Images that the annotation "
      "names without "
      "a box\nare authentic and get a black mask. A second run does what is missing; Ctrl-C loses at most "
      "one image.\n"
      "Examples:\n"
      "  boxprompt teach photos/ --boxes boxes.json --weights sam_vit_b_01ec64.pth -o out/ --soft --preview\n"
      "  boxprompt teach Tp/ --boxes-from-masks Gt/ --jitter 0.1 --weights mobile_sam.pt -o out/ --score "
      "Gt/");
  command->callback([o] { run_teach(*o); });
}

}  // namespace bp::app
