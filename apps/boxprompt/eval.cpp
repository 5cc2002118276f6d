// boxprompt eval: prediction maps against true masks, under the field's protocols.
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "apps/iml/evaluate.h"
#include "apps/iml/evaluate_html.h"
#include "apps/iml/progress.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string maps, html, protocol = "paper";
  std::vector<std::string> truth;
  EvalOptions eval;
  bool json = false, per_image = false;
};

struct Result {
  std::vector<SetScores> sets;
  std::vector<std::vector<fs::path>> maps;  // of each set's images
  std::vector<std::string> notes;
  std::size_t failures = 0;
};

// At most a screenful of lines of one kind.
void list(const std::vector<std::string>& lines, const char* prefix) {
  constexpr std::size_t kShown = 20;
  for (std::size_t i = 0; i < std::min(kShown, lines.size()); ++i)
    std::cerr << prefix << one_line(lines[i]) << '\n';
  if (lines.size() > kShown) std::cerr << prefix << "and " << lines.size() - kShown << " more\n";
}

// Several sets may have a folder of maps each, named as they are.
fs::path maps_of(const Dataset& set, const Options& o) {
  const fs::path own = fs::path(o.maps) / set.name;
  std::error_code error;
  return fs::is_directory(own, error) ? own : fs::path(o.maps);
}

Result score_sets(const Options& o) {
  std::vector<Dataset> sets;
  for (const std::string& truth : o.truth)
    for (Dataset& set : open_datasets(truth)) sets.push_back(std::move(set));
  Result r;
  std::size_t total = 0;
  std::vector<MapFiles> files;
  for (Dataset& set : sets) {
    const fs::path folder = maps_of(set, o);
    for (const auto& line : set.unpaired) r.notes.push_back(set.name + ": " + line);
    MapFiles found = find_maps(set, folder);
    const auto with_map = set.samples.size() - static_cast<std::size_t>(std::count(
                                                   found.maps.begin(), found.maps.end(), fs::path()));
    require(with_map > 0, "eval: none of the ", set.samples.size(), " images of ", set.name, " has a map in ",
            folder.string(), "; ", found.strays, " maps there are named after no image");
    if (found.strays > 0 && sets.size() == 1)
      r.notes.push_back(
          text(set.name, ": ", found.strays, " maps in ", folder.string(), " belong to no image"));
    total += with_map;
    files.push_back(std::move(found));
  }
  Progress progress("eval", total);
  for (std::size_t n = 0; n < sets.size() && !interrupted(); ++n) {
    Dataset with_maps{sets[n].name, sets[n].layout, {}, {}};
    std::vector<fs::path> maps;
    for (std::size_t i = 0; i < files[n].maps.size(); ++i)
      if (!files[n].maps[i].empty()) {
        with_maps.samples.push_back(sets[n].samples[i]);
        maps.push_back(files[n].maps[i]);
      }
    SetScores scores = evaluate(
        with_maps, [&](std::size_t i) { return load_map(maps[i]); }, o.eval, [&] { progress.advance(); },
        interrupted);
    scores.failed.insert(scores.failed.end(), files[n].missing.begin(), files[n].missing.end());
    r.failures += scores.failed.size();
    std::map<std::string, fs::path> by_key;
    for (std::size_t i = 0; i < maps.size(); ++i) by_key[with_maps.samples[i].key] = maps[i];
    r.maps.emplace_back();
    for (const ScoredImage& image : scores.images) r.maps.back().push_back(by_key[image.sample.key]);
    r.sets.push_back(std::move(scores));
  }
  progress.finish();
  return r;
}

Json optional(const std::optional<double>& v) {
  return v ? Json(*v) : Json();
}

double mean_of(const std::vector<SetScores>& sets, const std::function<double(const SetScores&)>& value) {
  double sum = 0;
  for (const SetScores& s : sets) sum += value(s);
  return sum / static_cast<double>(sets.size());
}

// The mean of what the sets have; none where one of them has none.
std::optional<double> mean_auc(const std::vector<SetScores>& sets) {
  double sum = 0;
  for (const SetScores& s : sets) {
    if (!s.auc) return std::nullopt;
    sum += *s.auc;
  }
  return sum / static_cast<double>(sets.size());
}

Json set_json(const SetScores& s) {
  Json rows = Json::array();
  for (const ScoredImage& i : s.images) {
    Json row{{"image", i.sample.key}, {"manipulated", i.manipulated}, {"image_score", i.image_score}};
    if (i.pixels) {
      row["f1"] = i.f1;
      row["iou"] = i.iou;
      row["auc"] = optional(i.auc);
    }
    rows.push_back(row);
  }
  Json j{{"name", s.name},
         {"layout", s.layout},
         {"images", s.images.size()},
         {"scored", s.scored},
         {"f1", s.f1},
         {"iou", s.iou},
         {"auc", optional(s.auc)},
         {"best_threshold", s.best.threshold},
         {"best_f1", s.best.f1},
         {"baselines",
          {{"all_ones", {{"f1", s.ones_f1}, {"iou", s.ones_iou}, {"auc", 0.5}}},
           {"all_zeros", {{"f1", 0}, {"iou", 0}, {"auc", 0.5}}}}}};
  if (s.image_level) {
    j["image_level"] = {{"accuracy", s.image_level->accuracy},
                        {"f1", s.image_level->f1},
                        {"auc", optional(s.image_level->auc)}};
    j["baselines"]["all_ones"]["image_accuracy"] = s.ones_accuracy;
    j["baselines"]["all_ones"]["image_f1"] = s.ones_image_f1;
  }
  j["reasons"] = s.reasons;
  j["failed"] = s.failed;
  j["per_image"] = rows;
  return j;
}

Json to_json(const Result& r, const Options& o) {
  Json sets = Json::array();
  for (const SetScores& s : r.sets) sets.push_back(set_json(s));
  return {{"protocol", o.protocol},
          {"threshold", o.eval.threshold},
          {"normalize", o.eval.normalize},
          {"sets", sets},
          {"mean",
           {{"f1", mean_of(r.sets, [](const SetScores& s) { return s.f1; })},
            {"iou", mean_of(r.sets, [](const SetScores& s) { return s.iou; })},
            {"auc", optional(mean_auc(r.sets))},
            {"best_f1", mean_of(r.sets, [](const SetScores& s) { return s.best.f1; })},
            {"all_ones_f1", mean_of(r.sets, [](const SetScores& s) { return s.ones_f1; })}}},
          {"notes", r.notes}};
}

std::string number(const std::optional<double>& v) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "%.4f", v.value_or(0));
  return v ? buffer : "-";
}

void print_row(const std::string& name, std::size_t images, double f1, double iou,
               const std::optional<double>& auc, double best, const std::string& at) {
  std::printf("%-24.24s %7zu %8.4f %8.4f %8s %8.4f %8s\n", name.c_str(), images, f1, iou, number(auc).c_str(),
              best, at.c_str());
}

void print(const Result& r, const Options& o) {
  std::printf("protocol %s, threshold %g%s\n\n%-24s %7s %8s %8s %8s %8s %8s\n", o.protocol.c_str(),
              o.eval.threshold, o.eval.normalize ? ", maps normalised" : "", "pixels", "images", "F1", "IoU",
              "AUC", "best F1", "at");
  std::size_t images = 0;
  for (const SetScores& s : r.sets) {
    images += s.scored;
    print_row(s.name, s.scored, s.f1, s.iou, s.auc, s.best.f1, number(s.best.threshold));
    print_row("  all ones", s.scored, s.ones_f1, s.ones_iou, 0.5, s.ones_f1, "");
  }
  if (r.sets.size() > 1)
    print_row("mean of the sets", images, mean_of(r.sets, [](const SetScores& s) { return s.f1; }),
              mean_of(r.sets, [](const SetScores& s) { return s.iou; }), mean_auc(r.sets),
              mean_of(r.sets, [](const SetScores& s) { return s.best.f1; }), "");
  std::puts("(a constant map has AUC 0.5; all zeros has F1 0)");
  bool header = false;
  for (const SetScores& s : r.sets) {
    if (!s.image_level) continue;
    if (!header) std::printf("\n%-24s %7s %8s %8s %8s\n", "whole images", "images", "accuracy", "F1", "AUC");
    header = true;
    std::printf("%-24.24s %7zu %8.4f %8.4f %8s\n", s.name.c_str(), s.images.size(), s.image_level->accuracy,
                s.image_level->f1, number(s.image_level->auc).c_str());
    std::printf("%-24s %7zu %8.4f %8.4f %8s\n", "  all ones", s.images.size(), s.ones_accuracy,
                s.ones_image_f1, "0.5000");
  }
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

void run_eval(const Options& o) {
  catch_interrupts();
  const Result r = score_sets(o);
  if (interrupted()) throw Interrupted("eval: interrupted");
  list(r.notes, "note: ");
  for (const SetScores& s : r.sets) {
    list(s.reasons, ("likely cause: " + s.name + ": ").c_str());
    list(s.failed, ("not scored: " + s.name + ": ").c_str());
    require(!s.images.empty(), "eval: no image of ", s.name, " could be scored");
  }
  if (o.json)
    std::cout << to_json(r, o).dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  else
    print(r, o);
  std::fflush(stdout);
  if (!o.html.empty())
    write_file(o.html, evaluation_html(r.sets, o.eval, [&](std::size_t set, std::size_t image) {
                 return load_map(r.maps[set][image]);
               }));
  require(r.failures == 0, "eval: ", r.failures, " images were not scored, see above");
}

}  // namespace

void add_eval(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("eval", "Score prediction maps against true masks");
  command
      ->add_option("--masks", o->maps,
                   "Folder of 8-bit maps, white = tampered, named as the images; or a folder of them per set")
      ->required();
  command
      ->add_option("--against", o->truth,
                   "Data sets: folders, JSON lists, {name: path} files, or folders of masks")
      ->required();
  command->add_option("--protocol", o->protocol, "paper: at the mask's size; benco: at the map's size")
      ->check(CLI::IsMember({"paper", "benco"}))
      ->capture_default_str();
  command->add_option("--threshold", o->eval.threshold, "Of pixels and of whole images")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_flag("--normalize", o->eval.normalize,
                    "Stretch every map to 0..1 first, as some evaluations do");
  command
      ->add_option("--top", o->eval.top_k,
                   "An image's score is the mean of its this many largest values; 1: the maximum")
      ->check(CLI::Range(i64{1}, i64{1} << 40))
      ->capture_default_str();
  command->add_flag("--all", o->eval.all, "Score the pixels of authentic images, too, against an empty mask");
  command->add_flag("--per-image", o->per_image, "Print a line per image");
  command->add_option("--html", o->html,
                      "Write a report with curves and the best and worst images, one file");
  command->add_flag("--json", o->json, "Print one JSON object");
  command->footer(
      "docs/formats.md says which data sets are recognised and how scores are defined.\n"
      "Examples:\n"
      "  boxprompt eval --masks maps/ --against CASIA1/ --html report.html\n"
      "  boxprompt eval --masks maps/ --against CASIA1/ Columbia/ NIST16/ --protocol benco --json");
  command->callback([o] {
    o->eval.protocol = o->protocol == "paper" ? Protocol::paper : Protocol::benco;
    run_eval(*o);
  });
}

}  // namespace bp::app
