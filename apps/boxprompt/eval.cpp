// boxprompt eval: a student, or anybody's prediction maps, against true masks, under the field's protocols.
#include "apps/boxprompt/device_option.h"
#include "apps/boxprompt/eval.h"

#include <cstdio>
#include <iostream>
#include <memory>

#include "apps/boxprompt/cli.h"
#include "apps/iml/evaluate_html.h"
#include "apps/iml/image.h"
#include "apps/iml/perturb.h"
#include "apps/iml/progress.h"

namespace bp::app {
namespace {

// A set and where its maps come from. `perturbation` is null for the images as they are.
struct Scored {
  Dataset data;
  std::function<Tensor(const Sample&, const Perturbation* perturbation)> map_of;
  std::vector<std::string> missing;
};

// Several sets may have a folder of maps each, named as they are.
fs::path maps_of(const Dataset& set, const EvalRequest& o) {
  const fs::path own = fs::path(o.maps) / set.name;
  std::error_code error;
  return fs::is_directory(own, error) ? own : fs::path(o.maps);
}

Scored with_files(const Dataset& set, const EvalRequest& o, bool alone, std::vector<std::string>& notes) {
  const fs::path folder = maps_of(set, o);
  MapFiles found = find_maps(set, folder);
  Scored s{{set.name, set.layout, {}, {}}, {}, std::move(found.missing)};
  std::map<std::string, fs::path> by_key;
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    if (found.maps[i].empty()) continue;
    s.data.samples.push_back(set.samples[i]);
    by_key[set.samples[i].key] = found.maps[i];
  }
  require(!by_key.empty(), "eval: none of the ", set.samples.size(), " images of ", set.name,
          " has a map in ", folder.string(), "; ", found.strays, " maps there are named after no image");
  if (found.strays > 0 && alone)
    notes.push_back(text(set.name, ": ", found.strays, " maps in ", folder.string(), " belong to no image"));
  s.map_of = [by_key = std::move(by_key)](const Sample& sample, const Perturbation*) {
    return load_map(by_key.at(sample.key));
  };
  return s;
}

// Noise differs from image to image, and is the same in every run.
std::uint64_t seed_of(const std::string& key) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

Scored with_student(const Dataset& set, const std::shared_ptr<const Localizer>& student,
                    const std::optional<Tiling>& tiling) {
  for (const Sample& sample : set.samples)
    require(!sample.image.empty(), "eval: ", set.name,
            " holds masks without their images; a student needs "
            "images, or give its maps with --masks");
  // At the network's own size, as the protocols want it; images run beside each other, one per thread.
  return {set,
          [student, tiling](const Sample& sample, const Perturbation* perturbation) {
            Tensor image = load_image(sample.image);
            if (perturbation) image = perturbation->apply(image, seed_of(sample.key));
            if (tiling) return tiled_map(*student, image, *tiling);
            return student->squeezed(std::span(&image, 1))[0];
          },
          {}};
}

struct Source {
  std::shared_ptr<const Localizer> student;  // none: maps of files
  std::optional<Tiling> tiling;
  std::string name;
};

Source open_source(EvalRequest& o) {
  if (!o.maps.empty()) {
    require(o.weights.empty() && o.size == 0 && !o.tiled && !o.robust && !o.social,
            "eval: --masks scores maps that are there; --weights, --size, --tile, --robust and --social need "
            "a student");
    o.eval.threshold = o.threshold >= 0 ? o.threshold : 0.5;
    return {nullptr, std::nullopt, o.maps};
  }
  const std::string weights = o.weights.empty() ? shipped_student().string() : o.weights;
  auto student = std::make_shared<Localizer>(fs::path(weights), parse_device(o.device), o.dtype);
  if (o.size > 0) student->set_size(o.size);
  o.eval.threshold = o.threshold >= 0 ? o.threshold : student->config().threshold;
  Source source{student, std::nullopt,
                text(weights, ", input ", student->config().size, o.dtype == DType::bf16 ? ", bf16" : "")};
  if (o.tiled) {
    source.tiling.emplace();
    source.tiling->side = window_side(o.tile);
    if (source.tiling->side == 0) source.tiling->side = 2 * student->config().size;
    source.name += text(", tiles of ", source.tiling->side);
  }
  return source;
}

std::vector<Perturbation> perturbations(const EvalRequest& o) {
  std::vector<Perturbation> all;
  if (o.robust) all = robustness_levels();
  if (o.social)
    for (Perturbation& p : social_networks()) all.push_back(std::move(p));
  return all;
}

PerturbedScores summary(const SetScores& s, const Perturbation& p) {
  return {p.family, p.name, p.level, s.f1, s.iou, s.best.f1, s.auc, s.scored};
}

EvalResult score_sets(EvalRequest& o) {
  const Source source = open_source(o);
  const std::vector<Perturbation> levels = perturbations(o);
  std::vector<Dataset> sets;
  for (const std::string& truth : o.truth)
    for (Dataset& set : open_datasets(truth)) sets.push_back(std::move(set));
  EvalResult r;
  r.source = source.name;
  std::vector<Scored> scored;
  std::size_t total = 0;
  for (const Dataset& set : sets) {
    for (const auto& line : set.unpaired) r.notes.push_back(set.name + ": " + line);
    scored.push_back(source.student ? with_student(set, source.student, source.tiling)
                                    : with_files(set, o, sets.size() == 1, r.notes));
    total += scored.back().data.samples.size() * (1 + levels.size());
  }
  Progress progress("eval", total);
  const auto score = [&](const Scored& s, const Perturbation* perturbation, const EvalOptions& options) {
    return evaluate(
        s.data, [&](std::size_t i) { return s.map_of(s.data.samples[i], perturbation); }, options,
        [&] { progress.advance(); }, interrupted);
  };
  EvalOptions options = o.eval, plain = o.eval;
  options.mean_mask = true;
  for (const Scored& s : scored) {
    if (interrupted()) break;
    SetScores scores = score(s, nullptr, options);
    scores.failed.insert(scores.failed.end(), s.missing.begin(), s.missing.end());
    r.failures += scores.failed.size();
    for (const Perturbation& level : levels)
      if (!interrupted()) scores.perturbed.push_back(summary(score(s, &level, plain), level));
    r.map_of.emplace_back([map_of = s.map_of](const Sample& sample) { return map_of(sample, nullptr); });
    r.sets.push_back(std::move(scores));
  }
  progress.finish();
  return r;
}

void run_eval(EvalRequest o) {
  catch_interrupts();
  const EvalResult r = score_sets(o);
  if (interrupted()) throw Interrupted("eval: interrupted");
  list_lines(r.notes, "note: ");
  for (const SetScores& s : r.sets) {
    list_lines(s.reasons, ("likely cause: " + s.name + ": ").c_str());
    list_lines(s.failed, ("not scored: " + s.name + ": ").c_str());
    require(!s.images.empty(), "eval: no image of ", s.name, " could be scored");
    require(s.scored > 0, "eval: ", s.name, ": no mask of ", s.images.size(),
            " images has a tampered pixel, so there is nothing to find; --all scores authentic images");
  }
  if (o.json)
    std::cout << eval_json(r, o) << '\n';
  else
    print_eval(r, o);
  std::fflush(stdout);
  if (!o.html.empty())
    write_file(o.html, evaluation_html(r.sets, o.eval, [&](std::size_t set, std::size_t image) {
                 return r.map_of[set](r.sets[set].images[image].sample);
               }));
  require(r.failures == 0, "eval: ", r.failures, " images were not scored, see above");
}

}  // namespace

void add_eval(CLI::App& app) {
  const auto o = std::make_shared<EvalRequest>();
  CLI::App* command = app.add_subcommand("eval", "Score a student, or prediction maps, against true masks");
  auto* maps = command->add_option(
      "--masks", o->maps,
      "Folder of 8-bit maps, white = tampered, named as the images; or a folder of them per set");
  command->add_option("--weights", o->weights, "A student; without --masks the default is the one shipped")
      ->excludes(maps);
  command
      ->add_option("--against", o->truth,
                   "Data sets: folders, JSON lists, {name: path} files, or folders of masks")
      ->required();
  command->add_option("--protocol", o->protocol, "paper: at the mask's size; benco: at the map's size")
      ->check(CLI::IsMember({"paper", "benco"}))
      ->capture_default_str();
  command
      ->add_option("--threshold", o->threshold,
                   "Of pixels and of whole images; default 0.5, of a student the one in its weights")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--size", o->size, "Side that the student squeezes images to, a multiple of 32")
      ->check(CLI::Range(32, 2048));
  auto* tile = command->add_option("--tile", o->tile,
                                   "The student sees overlapping windows of this many pixels, too; without a "
                                   "number twice its size");
  tile->expected(0, 1)->type_name("[SIDE]");
  add_device_option(command, o->device);
  add_dtype_option(command, o->dtype, "The network");
  command->add_flag("--robust", o->robust, "The student again after blur, noise and JPEG at six levels each");
  command->add_flag("--social", o->social, "The student again after what social networks do to images");
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
      "  boxprompt eval --against CASIA1/ --html report.html\n"
      "  boxprompt eval --weights best.safetensors --against Tp_Gt/ --robust --social --json\n"
      "  boxprompt eval --masks maps/ --against CASIA1/ Columbia/ NIST16/ --protocol benco");
  command->callback([o, tile] {
    o->eval.protocol = o->protocol == "paper" ? Protocol::paper : Protocol::benco;
    o->tiled = tile->count() > 0;
    run_eval(*o);
  });
}

}  // namespace bp::app
