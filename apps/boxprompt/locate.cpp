// boxprompt locate: what was manipulated in images, without boxes.
#include <charconv>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "apps/boxprompt/device_option.h"
#include "apps/iml/architectures.h"
#include "apps/iml/locate.h"
#include "apps/iml/progress.h"
#include "apps/iml/run_folder.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> images;
  std::string weights, out, tile, device;
  DType dtype = DType::f32;
  double threshold = -1;  // below 0: that of the weights
  i64 size = 0;
  Tiling tiling;
  LocateOptions locate;
  bool recursive = false, tiled = false, mask = false, soft = false, heat = false, json = false;
};

std::vector<ImageFile> images_of(const Options& o) {
  std::vector<ImageFile> images;
  for (const std::string& source : o.images) {
    const auto found = list_images(source, o.recursive);
    images.insert(images.end(), found.begin(), found.end());
  }
  return images;
}

void print(const LocateReport& r, const Options& o, double threshold) {
  for (const std::string& line : r.records) {
    const Json record = Json::parse(line);
    std::printf(
        "%-4s max %.3f  top %.3f  %5.1f %%  %s\n", record["manipulated"].get<bool>() ? "YES" : "no",
        record["score_max"].get<double>(), record["score_top"].get<double>(),
        100 * record["area"].get<double>() / (record["width"].get<double>() * record["height"].get<double>()),
        one_line(record["image"].get<std::string>()).c_str());
  }
  std::printf("%zu images done, %zu were done before, threshold %g: %s\n", r.done, r.skipped, threshold,
              o.out.c_str());
}

void print_json(const LocateReport& r, const Options& o, const Localizer& localizer,
                const std::string& weights, double threshold) {
  Json images = Json::array();
  for (const std::string& line : r.records) images.push_back(Json::parse(line));
  const Json report{
      {"weights", weights},
      {"architecture", student_architecture(localizer.config().parts).name()},
      {"input_size", localizer.config().size},
      {"threshold", threshold},
      {"tiles", o.tiled ? Json{{"side", o.tiling.side}, {"overlap", o.tiling.overlap}} : Json()},
      {"done", r.done},
      {"skipped", r.skipped},
      {"failed", r.failed},
      {"images", images}};
  std::cout << report.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

void run_locate(Options& o) {
  const auto images = images_of(o);
  const std::string weights = o.weights.empty() ? shipped_student().string() : o.weights;
  Localizer localizer(fs::path(weights), parse_device(o.device), o.dtype);
  if (o.size > 0) localizer.set_size(o.size);
  if (o.tiled) {
    o.tiling.side = window_side(o.tile);
    if (o.tiling.side == 0) o.tiling.side = 2 * localizer.config().size;
    o.tiling.batch = o.locate.batch;
    o.locate.tiling = o.tiling;
  }
  const double threshold = o.threshold >= 0 ? o.threshold : localizer.config().threshold;
  o.locate.out = o.out;
  o.locate.threshold = threshold;
  if (o.mask || o.soft || o.heat) o.locate.mask = o.mask, o.locate.soft = o.soft, o.locate.heat = o.heat;
  o.locate.settings = {
      {"weights", file_identity(weights)},
      {"dtype", name_of(o.dtype)},
      {"threshold", shortest(threshold)},
      {"size", std::to_string(localizer.config().size)},
      {"tiles", o.tiled ? text(o.tiling.side, " overlap ", shortest(o.tiling.overlap)) : "none"}};

  catch_interrupts();
  const LocateReport report = locate(images, localizer, o.locate, interrupted);
  if (o.json)
    print_json(report, o, localizer, weights, threshold);
  else
    print(report, o, threshold);
  std::fflush(stdout);
  if (report.interrupted) throw Interrupted("locate: interrupted; run the same command again to go on");
  if (report.failed.empty()) return;
  std::cerr << "failed:\n";
  list_lines(report.failed, "  ");
  fail("locate: ", report.failed.size(), " of ", images.size(), " images failed, see above");
}

}  // namespace

std::int64_t window_side(const std::string& given) {
  if (given.empty()) return 0;
  i64 side = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), side);
  require(
      error == std::errc() && end == given.data() + given.size() && side >= kLeastInput && side <= 1'000'000,
      "--tile ", given, ": wanted pixels, at least ", kLeastInput, "; images go before --tile");
  return side;
}

void add_locate(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("locate", "Mark what was manipulated in images, without boxes");
  command->add_option("IMAGES", o->images, "Images, folders, or text files with one image per line")
      ->required();
  command->add_flag("--recursive", o->recursive, "Descend into subfolders");
  command->add_option("-o,--out", o->out, "Folder for masks/, soft/, heat/ and locate.jsonl")->required();
  command->add_option("--weights", o->weights, "A student; default: the one that comes with the program");
  command
      ->add_option("--threshold", o->threshold,
                   "A pixel above it counts as manipulated; default: the one in the weights")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--size", o->size,
                   "Side that images are squeezed to, a multiple of 32; default: that of the weights")
      ->check(CLI::Range(32, 2048));
  auto* tile = command->add_option("--tile", o->tile,
                                   "For large images: overlapping windows of this many pixels, blended with "
                                   "the whole; without a number twice the network's size");
  tile->expected(0, 1)->type_name("[SIDE]");
  command->add_option("--overlap", o->tiling.overlap, "Share of a window that the next one sees again")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str()
      ->needs(tile);
  command->add_option("--batch", o->locate.batch, "Images (or windows) that run together")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_device_option(command, o->device);
  add_dtype_option(command, o->dtype, "The network");
  command->add_flag("--mask", o->mask, "Of masks, maps and heat maps write masks");
  command->add_flag("--soft", o->soft, "... 8-bit probability maps");
  command->add_flag("--heat", o->heat, "... heat maps over the image; without any of the three, all");
  command->add_flag("--force", o->locate.force, "Begin anew, whatever OUT holds");
  command->add_flag("--json", o->json, "Print one JSON object, with the regions as polygons");
  command->footer(
      "A second run does what is missing; Ctrl-C loses at most one batch. OUT/soft is what 'eval --masks'\n"
      "reads. The weights: --weights, else the file or folder that BOXPROMPT_WEIGHTS names, else those "
      "shipped.\n"
      "Examples:\n"
      "  boxprompt locate photo.jpg -o out/\n"
      "  boxprompt locate photos/ --recursive --tile 512 --threshold 0.3 -o out/ --json");
  command->callback([o, tile] {
    o->tiled = tile->count() > 0;
    run_locate(*o);
  });
}

}  // namespace bp::app
