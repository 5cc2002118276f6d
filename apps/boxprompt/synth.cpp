// boxprompt synth: manipulated images with true masks, made of photographs.
#include "apps/iml/synth.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>

#include "apps/boxprompt/cli.h"
#include "apps/iml/image.h"
#include "apps/iml/progress.h"
#include "engine/error.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string photos, cutouts, kinds;
  std::vector<i64> size{256, 1024};
  std::size_t cache_mb = 2048;
  SynthOptions synth;
  bool json = false;
};

// "splice:0.5,removal:0.2": the kinds that are not named are not made.
std::array<double, 4> parse_kinds(const std::string& list) {
  std::array<double, 4> weights{};
  std::istringstream in(list);
  double sum = 0;
  for (std::string item; std::getline(in, item, ',');) {
    const std::size_t colon = item.find(':');
    const auto kind = std::find(kManipulations.begin(), kManipulations.end(), item.substr(0, colon));
    require(kind != kManipulations.end(), "synth: --kinds: no kind '", item.substr(0, colon),
            "'; there are splice, copy-move, removal, retouch");
    double weight = 1;
    if (colon != std::string::npos) {
      std::istringstream number(item.substr(colon + 1));
      require(number >> weight && number.peek() == EOF && weight >= 0 && weight < 1e6, "synth: --kinds: '",
              item, "', wanted KIND or KIND:WEIGHT");
    }
    weights[static_cast<std::size_t>(kind - kManipulations.begin())] = weight;
    sum += weight;
  }
  require(sum > 0, "synth: --kinds '", list, "' leaves nothing to make");
  return weights;
}

// Of what the pictures are made: names and sizes of the files, in order.
std::string digest(const std::vector<ImageFile>& files) {
  std::uint64_t key = 0xCBF29CE484222325u;  // FNV-1a
  const auto add = [&](const std::string& s) {
    for (const char c : s) key = (key ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  };
  for (const ImageFile& f : files) {
    std::error_code error;
    const auto bytes = fs::file_size(f.path, error);
    add(text(f.key, '\n', error ? 0 : bytes, '\n'));
  }
  return text(files.size(), " files, ", std::hex, key);
}

// Decoding all of them just to see that they can be used would take longer than many a run, so this looks
// only at what a PNG's header says; the rest shows when one is wanted.
void check_cutouts(const std::vector<ImageFile>& files) {
  for (const ImageFile& f : files) {
    const std::string bytes = read_file(f.path);
    require(bytes.starts_with("\x89PNG\r\n\x1A\n"), f.path.string(),
            ": a cut-out is wanted, a PNG with alpha");
    const int type = bytes.size() > 25 ? bytes[25] : 0;  // of the colours; 4 and 6 have alpha
    require(type == 4 || type == 6 || bytes.find("tRNS") != std::string::npos, f.path.string(),
            ": has no transparency (alpha)");
  }
}

void print(const SynthReport& r, const Options& o) {
  std::string kinds;
  for (const auto& [kind, n] : r.kinds) kinds += text(kinds.empty() ? "" : ", ", n, ' ', kind);
  std::cout << r.made << " images made, " << r.skipped << " were there: " << o.synth.out.string() << '\n'
            << kinds << '\n';
}

void run_synth(Options& o) {
  SynthOptions& s = o.synth;
  SampleOptions& sample = s.sample;
  sample.least_side = o.size[0];
  sample.most_side = o.size[1];
  require(sample.least_side <= sample.most_side, "synth: --size ", o.size[0], ' ', o.size[1],
          ", wanted the smaller first");
  if (!o.kinds.empty()) sample.kinds = parse_kinds(o.kinds);

  std::error_code error;
  require(fs::exists(o.photos, error), o.photos, ": no such folder of photographs");
  const auto photo_files = list_images(o.photos, true);
  s.settings = {{"seed", text(sample.seed)},
                {"photos", digest(photo_files)},
                {"authentic", text(s.authentic)},
                {"size", text(o.size[0], ' ', o.size[1])},
                {"clean", sample.clean ? "1" : "0"},
                {"loose", text(sample.loose)},
                {"cutouts", "none"},
                {"cutout_share", text(sample.cutouts)}};
  for (std::size_t i = 0; i < sample.kinds.size(); ++i)
    s.settings["kinds"] += text(i > 0 ? "," : "", kManipulations[i], ':', sample.kinds[i]);
  const std::size_t budget = o.cache_mb << 20;
  SourceStore photos(photo_files, budget, load_photograph);
  std::unique_ptr<SourceStore> cutouts;
  if (!o.cutouts.empty()) {
    require(fs::exists(o.cutouts, error), o.cutouts, ": no such folder of cut-outs");
    const auto files = list_images(o.cutouts, true);
    check_cutouts(files);
    s.settings["cutouts"] = digest(files);
    cutouts = std::make_unique<SourceStore>(files, budget, load_premultiplied);
  }

  catch_interrupts();
  const SynthReport report = synth(s, photos, cutouts.get(), interrupted);
  for (const std::string& line : report.unreadable) std::cerr << "left out: " << line << '\n';
  if (!report.unreadable.empty()) std::cerr << report.unreadable.size() << " pictures could not be used\n";
  if (o.json)
    std::cout << Json{{"made", report.made},
                      {"skipped", report.skipped},
                      {"kinds", report.kinds},
                      {"unreadable", report.unreadable}}
                     .dump(2, ' ', false, Json::error_handler_t::replace)
              << '\n';
  else
    print(report, o);
  if (report.interrupted) throw Interrupted("synth: interrupted; run the same command again to go on");
}

}  // namespace

void add_synth(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  SynthOptions& s = o->synth;
  CLI::App* command = app.add_subcommand("synth", "Make manipulated images with true masks from photographs");
  command->add_option("PHOTOS", o->photos, "A folder of photographs (with subfolders), or a list of them")
      ->required();
  command->add_option("--cutouts", o->cutouts, "A folder of objects as PNG with alpha, to splice in");
  command->add_option("-o,--out", s.out, "Folder for Tp/, Gt/, Au/, boxes.json and synth.json")->required();
  command->add_option("--count", s.count, "Images to make, authentic ones included")
      ->required()
      ->check(CLI::Range(1, 100'000'000));
  command->add_option("--seed", s.sample.seed, "Another seed makes other images")->capture_default_str();
  command->add_option("--authentic", s.authentic, "Share of images that are not manipulated")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--size", o->size, "Bounds of the longest side; most are around 384")
      ->expected(2)
      ->check(CLI::Range(64, 8192))
      ->capture_default_str();
  command->add_option("--kinds", o->kinds,
                      "Weights of splice, copy-move, removal, retouch; by default "
                      "splice:0.45,copy-move:0.3,removal:0.12,retouch:0.13");
  command->add_option("--cutout-share", s.sample.cutouts, "Share of splices that take a cut-out")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      ->add_option("--loose", s.sample.loose,
                   "Sides of the boxes move outwards by up to this share, inwards by up to a third of it")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_flag("--clean", s.sample.clean,
                    "No histories and no soft borders: outside the mask every pixel is the photograph's");
  command->add_option("--cache", o->cache_mb, "MiB of decoded photographs that are kept")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_flag("--force", s.force, "Begin anew, whatever OUT holds");
  command->add_flag("--json", o->json, "Print one JSON object");
  command->footer(
      "Image i depends on the seed, i and the sources alone: any number of threads gives the same bytes, and "
      "a "
      "larger\n--count goes on where a smaller one ended. Ctrl-C loses at most the images in work.\n"
      "Examples:\n"
      "  boxprompt synth photos/ -o set/ --count 1000\n"
      "  boxprompt synth photos/ --cutouts objects/ -o set/ --count 20000 --seed 7 --authentic 0.2 --size "
      "224 640\n"
      "  boxprompt synth photos/ -o moves/ --count 500 --kinds copy-move\n"
      "  boxprompt teach set/Tp --boxes set/boxes.json --weights mobile_sam.pt -o taught/ --score set/Gt");
  command->callback([o] { run_synth(*o); });
}

}  // namespace bp::app
