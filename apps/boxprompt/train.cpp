// boxprompt train: images and masks to a student.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "apps/boxprompt/device_option.h"
#include "apps/iml/progress.h"
#include "apps/iml/train.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> data, pairs, validation;
  std::string out, weights, trunk, augment = "published", device;
  bool soft = false, manipulated_only = false, no_gate = false, no_memory = false, json = false;
  double hold_out = 0;
  Augmentation changes;  // what the options say beyond the preset
  TrainOptions train;
};

std::vector<TrainingSet> training_sets(const Options& o) {
  std::vector<TrainingSet> sets;
  for (const std::string& path : o.data)
    for (Dataset& set : open_datasets(path)) sets.push_back({std::move(set), o.soft});
  for (std::size_t i = 0; i + 1 < o.pairs.size(); i += 2)
    sets.push_back(pair_folders(o.pairs[i], o.pairs[i + 1], o.soft));
  require(!sets.empty(), "train: give data sets, or --pair IMAGES MASKS");
  for (TrainingSet& set : sets) {
    if (o.manipulated_only) std::erase_if(set.data.samples, [](const Sample& s) { return s.authentic(); });
    require(!set.data.samples.empty(), "train: ", set.data.name, " has no manipulated image");
    list_lines(set.data.unpaired, "note: ");
  }
  return sets;
}

// Every 1/share-th sample of each set, so that all kinds that lie in order are among them.
std::vector<Dataset> held_out(std::vector<TrainingSet>& sets, double share) {
  std::vector<Dataset> held;
  for (TrainingSet& set : sets) {
    Dataset out{set.data.name + " held out", set.data.layout, {}, {}};
    std::vector<Sample> kept;
    double due = 0;
    for (Sample& s : set.data.samples) {
      due += share;
      if (due >= 1) {
        due -= 1;
        out.samples.push_back(std::move(s));
      } else {
        kept.push_back(std::move(s));
      }
    }
    set.data.samples = std::move(kept);
    require(!out.samples.empty() && !set.data.samples.empty(), "train: ", set.data.name,
            " is too small for --hold-out ", share);
    held.push_back(std::move(out));
  }
  return held;
}

Json to_json(const TrainReport& r) {
  Json j{{"steps", r.steps},
         {"parameters", r.parameters},
         {"last_loss", r.last_loss},
         {"seconds_waited_for_data", r.waited},
         {"skipped", r.skipped}};
  if (r.best)
    j["best"] = {{"step", r.best->step},       {"f1", r.best->f1},
                 {"iou", r.best->iou},         {"auc", r.best->auc ? Json(*r.best->auc) : Json()},
                 {"best_f1", r.best->best_f1}, {"threshold", r.best->threshold}};
  return j;
}

void run_train(Options o) {
  o.train.device = parse_device(o.device);
  o.train.out = o.out, o.train.weights = o.weights, o.train.trunk = o.trunk;
  o.train.parts = {!o.no_gate, !o.no_memory};
  Augmentation a;
  if (o.augment == "published") a = Augmentation::published();
  if (o.augment == "flips") a = Augmentation::flips();
  a.crop = o.changes.crop, a.crop_least = o.changes.crop_least;
  o.train.augmentation = a;

  std::vector<TrainingSet> sets = training_sets(o);
  std::vector<Dataset> validation;
  for (const std::string& path : o.validation)
    for (Dataset& set : open_datasets(path)) validation.push_back(std::move(set));
  if (o.hold_out > 0)
    for (Dataset& set : held_out(sets, o.hold_out)) validation.push_back(std::move(set));
  catch_interrupts();
  const TrainReport r = train(std::move(sets), validation, o.train, interrupted);
  list_lines(r.skipped, "skipped: ");
  if (o.json) {
    std::cout << to_json(r).dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  } else if (!r.interrupted) {
    std::cout << r.steps << " steps, last loss " << r.last_loss;
    if (r.best) std::cout << ", best validation F1 " << r.best->best_f1 << " at step " << r.best->step;
    std::cout << ": " << (fs::path(o.out) / "best.safetensors").string() << '\n';
  }
  if (r.interrupted) throw Interrupted("train: interrupted; the same command with --resume goes on");
}

}  // namespace

void add_train(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  TrainOptions& t = o->train;
  CLI::App* command = app.add_subcommand("train", "Teach the student from images and masks");
  const auto positive = CLI::Range(i64{1}, i64{1} << 40);
  const auto share = CLI::Range(0.0, 0.9999);
  command->add_option(
      "DATA", o->data,
      "Data sets as for eval: folders (Tp/Gt/Au, ...), JSON lists, annotations.json of annotate");
  command
      ->add_option("--pair", o->pairs,
                   "Two folders: images, and their masks (OUT/masks or OUT/soft of teach); repeatable")
      ->type_size(2)
      ->allow_extra_args(false);
  command->add_flag("--soft", o->soft, "Masks are probabilities 0..255 (teach --soft), not black and white");
  command->add_flag("--manipulated-only", o->manipulated_only, "Leave authentic images out");
  command->add_flag("--balanced", t.balanced, "The data sets take turns, however large they are");
  command->add_option("-o,--out", o->out, "Folder for best.safetensors, last.safetensors and the log")
      ->required();
  command->add_option("--validate", o->validation, "Data sets to validate on");
  command
      ->add_option("--hold-out", o->hold_out,
                   "Validate on this share of the training data instead of training on it")
      ->check(CLI::Range(0.0, 0.5));
  command->add_option("--validate-every", t.validate_every, "Steps between validations; default an epoch")
      ->check(positive);
  command->add_option("--size", t.size, "Side of the network's input, a multiple of 32")
      ->capture_default_str();
  command->add_option("--batch", t.batch, "Images per forward")->check(positive)->capture_default_str();
  command->add_option("--accumulate", t.accumulate, "Forwards per step")
      ->check(positive)
      ->capture_default_str();
  command->add_option("--epochs", t.epochs)->check(positive)->capture_default_str();
  command->add_option("--per-epoch", t.per_epoch, "Samples per epoch; default all there are")
      ->check(positive);
  command->add_option("--lr", t.lr, "Highest learning rate")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--lr-floor", t.lr_floor, "Lowest, at the end of the cosine")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--warmup", t.warmup_epochs, "Epochs of warm-up")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--weight-decay", t.adamw.weight_decay)
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--clip", t.adamw.clip, "Largest norm of a gradient; 0: any")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--average", t.adamw.average, "Decay of the moving average of the weights; 0: none")
      ->check(share)
      ->capture_default_str();
  command->add_option("--dice", t.dice, "Weight of a Dice loss beside the cross entropy")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--augment", o->augment, "published: IMDL-BenCo's; flips: with quarter turns; none")
      ->check(CLI::IsMember({"published", "flips", "none"}))
      ->capture_default_str();
  command->add_option("--crop", o->changes.crop, "Probability of a random crop before the rest")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--crop-least", o->changes.crop_least, "Least share of each side that a crop keeps")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  command->add_flag("--no-gate", o->no_gate, "Without the gates (ablation)");
  command->add_flag("--no-memory", o->no_memory, "Without the memory (ablation)");
  command->add_option("--weights", o->weights, "A student to start from");
  command->add_option("--trunk", o->trunk,
                      "A TinyViT-5M or MobileSAM checkpoint to start the trunk from; default: from the seed");
  command->add_flag("--freeze-trunk", t.freeze_trunk, "Train the fusion alone");
  command
      ->add_option("--layer-decay", t.layer_decay,
                   "Learning rate from each block of the trunk to the one before")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  command->add_option("--seed", t.seed)->capture_default_str();
  command->add_option("--workers", t.workers, "Threads that decode and augment")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--save-every", t.save_seconds, "Seconds between two states")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_device_option(command, o->device);
  add_dtype_option(command, t.dtype, "Forward and backward, with f32 master weights,");
  command->add_flag("--graph", t.graph, "On a GPU: record a step once and launch it as one");
  auto* resume = command->add_flag("--resume", t.resume, "Go on with the run in OUT");
  command->add_flag("--force", t.force, "Begin anew, whatever OUT holds")->excludes(resume);
  command->add_flag("--json", o->json, "Print one JSON object");
  command->footer(
      "The same options and data give the same weights, bit for bit, however often the run was interrupted "
      "and "
      "on any number of threads; on another kind of device up to rounding.\nExamples:\n"
      "  boxprompt train synth/ --hold-out 0.05 -o run/\n"
      "  boxprompt train --pair Tp/ taught/soft --soft --validate CASIA1/ --trunk tiny_vit_5m_22kto1k.pth -o "
      "run/\n"
      "  boxprompt train synth/ --hold-out 0.05 -o run/ --resume");
  command->callback([o] { run_train(*o); });
}

}  // namespace bp::app
