// What eval found, as a table on the terminal and as JSON.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/eval.h"
#include "apps/iml/files.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;
using Value = std::function<std::optional<double>(const SetScores&)>;

Json optional(const std::optional<double>& v) {
  return v ? Json(*v) : Json();
}

Json baselines_json(const SetScores& s) {
  Json all{{"all_ones", {{"f1", s.ones_f1}, {"iou", s.ones_iou}, {"auc", 0.5}}},
           {"all_zeros", {{"f1", 0}, {"iou", 0}, {"auc", 0.5}}}};
  if (s.mean_mask)
    all["mean_mask"] = {
        {"f1", s.mean_mask->f1}, {"threshold", s.mean_mask->threshold}, {"auc", optional(s.mean_mask->auc)}};
  if (s.image_level) {
    all["all_ones"]["image_accuracy"] = s.ones_accuracy;
    all["all_ones"]["image_f1"] = s.ones_image_f1;
  }
  return all;
}

Json set_json(const SetScores& s) {
  Json rows = Json::array(), perturbed = Json::array();
  for (const ScoredImage& i : s.images) {
    Json row{{"image", i.sample.key}, {"manipulated", i.manipulated}, {"image_score", i.image_score}};
    if (i.pixels) {
      row["f1"] = i.f1;
      row["iou"] = i.iou;
      row["auc"] = optional(i.auc);
    }
    rows.push_back(row);
  }
  for (const PerturbedScores& p : s.perturbed)
    perturbed.push_back({{"family", p.family},
                         {"name", p.name},
                         {"scored", p.scored},
                         {"f1", p.f1},
                         {"iou", p.iou},
                         {"auc", optional(p.auc)},
                         {"best_f1", p.best_f1}});
  Json j{{"name", s.name},
         {"layout", s.layout},
         {"images", s.images.size()},
         {"scored", s.scored},
         {"f1", s.f1},
         {"iou", s.iou},
         {"auc", optional(s.auc)},
         {"best_threshold", s.best.threshold},
         {"best_f1", s.best.f1},
         {"baselines", baselines_json(s)}};
  if (s.image_level)
    j["image_level"] = {{"accuracy", s.image_level->accuracy},
                        {"f1", s.image_level->f1},
                        {"auc", optional(s.image_level->auc)}};
  if (!perturbed.empty()) j["perturbed"] = perturbed;
  j["reasons"] = s.reasons;
  j["failed"] = s.failed;
  j["per_image"] = rows;
  return j;
}

std::string number(const std::optional<double>& v) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "%.4f", v.value_or(0));
  return v ? buffer : "-";
}

void print_row(const std::string& name, std::size_t images, const std::optional<double>& f1,
               const std::optional<double>& iou, const std::optional<double>& auc,
               const std::optional<double>& best, const std::string& at) {
  std::printf("%-24.24s %7zu %8s %8s %8s %8s %8s\n", name.c_str(), images, number(f1).c_str(),
              number(iou).c_str(), number(auc).c_str(), number(best).c_str(), at.c_str());
}

const Value kF1 = [](const SetScores& s) { return s.f1; };
const Value kIou = [](const SetScores& s) { return s.iou; };
const Value kAuc = [](const SetScores& s) { return s.auc; };
const Value kBest = [](const SetScores& s) { return s.best.f1; };
const Value kMeanMask = [](const SetScores& s) {
  return s.mean_mask ? std::optional(s.mean_mask->f1) : std::nullopt;
};

void print_pixels(const std::vector<SetScores>& sets) {
  std::size_t images = 0;
  for (const SetScores& s : sets) {
    images += s.scored;
    print_row(s.name, s.scored, s.f1, s.iou, s.auc, s.best.f1, number(s.best.threshold));
    print_row("  all ones", s.scored, s.ones_f1, s.ones_iou, 0.5, s.ones_f1, "");
    if (s.mean_mask) print_row("  mean mask", s.scored, {}, {}, s.mean_mask->auc, s.mean_mask->f1, "");
  }
  if (sets.size() > 1)
    print_row("mean of the sets", images, mean_over(sets, kF1), mean_over(sets, kIou), mean_over(sets, kAuc),
              mean_over(sets, kBest), "");
  std::puts("(a constant map has AUC 0.5; all zeros has F1 0; the mean mask has seen the true masks)");
}

void print_whole_images(const std::vector<SetScores>& sets) {
  bool header = false;
  for (const SetScores& s : sets) {
    if (!s.image_level) continue;
    if (!header) std::printf("\n%-24s %7s %8s %8s %8s\n", "whole images", "images", "accuracy", "F1", "AUC");
    header = true;
    std::printf("%-24.24s %7zu %8.4f %8.4f %8s\n", s.name.c_str(), s.images.size(), s.image_level->accuracy,
                s.image_level->f1, number(s.image_level->auc).c_str());
    std::printf("%-24s %7zu %8.4f %8.4f %8s\n", "  all ones", s.images.size(), s.ones_accuracy,
                s.ones_image_f1, "0.5000");
  }
}

void print_perturbed(const std::vector<SetScores>& sets) {
  for (const SetScores& s : sets) {
    if (s.perturbed.empty()) continue;
    std::printf("\n%-24.24s %7s %8s %8s %8s %8s\n", ("after, " + s.name).c_str(), "images", "F1", "IoU",
                "AUC", "best F1");
    print_row("nothing", s.scored, s.f1, s.iou, s.auc, s.best.f1, "");
    for (const PerturbedScores& p : s.perturbed)
      print_row(p.family == "social" ? p.name : p.family + " " + p.name, p.scored, p.f1, p.iou, p.auc,
                p.best_f1, "");
  }
}

}  // namespace

std::optional<double> mean_over(const std::vector<SetScores>& sets, const Value& value) {
  double sum = 0;
  for (const SetScores& s : sets) {
    const auto v = value(s);
    if (!v) return std::nullopt;
    sum += *v;
  }
  return sum / static_cast<double>(sets.size());
}

std::string eval_json(const EvalResult& r, const EvalRequest& o) {
  Json sets = Json::array();
  for (const SetScores& s : r.sets) sets.push_back(set_json(s));
  const Json report{
      {"maps", r.source},
      {"protocol", o.protocol},
      {"threshold", o.eval.threshold},
      {"normalize", o.eval.normalize},
      {"sets", sets},
      {"mean",
       {{"f1", optional(mean_over(r.sets, kF1))},
        {"iou", optional(mean_over(r.sets, kIou))},
        {"auc", optional(mean_over(r.sets, kAuc))},
        {"best_f1", optional(mean_over(r.sets, kBest))},
        {"all_ones_f1", optional(mean_over(r.sets, [](const SetScores& s) { return s.ones_f1; }))},
        {"mean_mask_f1", optional(mean_over(r.sets, kMeanMask))}}},
      {"notes", r.notes}};
  return report.dump(2, ' ', false, Json::error_handler_t::replace);
}

void print_eval(const EvalResult& r, const EvalRequest& o) {
  std::printf("%s\nprotocol %s, threshold %g%s\n\n%-24s %7s %8s %8s %8s %8s %8s\n",
              one_line(r.source).c_str(), o.protocol.c_str(), o.eval.threshold,
              o.eval.normalize ? ", maps normalised" : "", "pixels", "images", "F1", "IoU", "AUC", "best F1",
              "at");
  print_pixels(r.sets);
  print_whole_images(r.sets);
  print_perturbed(r.sets);
  if (!o.per_image) return;
  for (const SetScores& s : r.sets) {
    std::printf("\n%s: %8s %8s %8s %8s\n", s.name.c_str(), "F1", "IoU", "AUC", "score");
    for (const ScoredImage& i : s.images)
      std::printf("  %8s %8s %8s %8.4f  %s%s\n",
                  number(i.pixels ? std::optional(i.f1) : std::nullopt).c_str(),
                  number(i.pixels ? std::optional(i.iou) : std::nullopt).c_str(), number(i.auc).c_str(),
                  i.image_score, one_line(i.sample.key).c_str(), i.manipulated ? "" : " (authentic)");
  }
}

}  // namespace bp::app
