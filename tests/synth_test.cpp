// Whole samples and whole sets: what is promised of masks, boxes and files, whoever makes them and in what
// order.
#include "apps/iml/synth.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <sstream>

#include "apps/boxprompt/cli.h"
#include "apps/iml/datasets.h"
#include "apps/iml/filters.h"
#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "kernels/threads.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

const fs::path kSamples = std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples";

// A disc with a soft border on transparency.
std::string cutout_bytes() {
  static const std::string bytes = [] {
    const TempFolder folder;
    std::string pixels;
    for (int y = 0; y < 90; ++y)
      for (int x = 0; x < 90; ++x) {
        const double r = std::hypot(y - 45.0, x - 45.0);
        const auto alpha = static_cast<char>(std::clamp(255 * (36 - r) / 3, 0.0, 255.0));
        for (const char c : {static_cast<char>(200 - x), static_cast<char>(y), static_cast<char>(60), alpha})
          pixels += c;
      }
    return pixels;
  }();
  return bytes;
}

std::vector<ImageFile> sample_files() {
  return list_images(kSamples, true);
}

SourceStore sample_photos(std::size_t budget = std::size_t{1} << 30) {
  return {sample_files(), budget, load_photograph};
}

SourceStore disc() {
  return {{{"disc.png", "disc.png"}}, std::size_t{1} << 30, [](const fs::path&) {
            Tensor rgba = empty({90, 90, 4}, DType::u8);
            const std::string pixels = cutout_bytes();
            for (i64 i = 0; i < rgba.numel(); ++i) {
              const auto alpha = static_cast<unsigned char>(pixels[static_cast<std::size_t>(i / 4 * 4 + 3)]);
              const auto v = static_cast<unsigned char>(pixels[static_cast<std::size_t>(i)]);
              rgba.data<u8>()[i] = static_cast<u8>(i % 4 == 3 ? alpha : v * alpha / 255);
            }
            return rgba;
          }};
}

SynthOptions small_set(const fs::path& out, i64 count = 10) {
  SynthOptions o;
  o.out = out;
  o.count = count;
  o.authentic = 0.2;
  o.sample.seed = 4;
  o.sample.least_side = 96;
  o.sample.most_side = 160;
  o.settings = {{"seed", "4"}};
  return o;
}

SynthReport run(const SynthOptions& o) {
  SourceStore photos = sample_photos(), cutouts = disc();
  return synth(o, photos, &cutouts, [] { return false; });
}

// Every file of a folder, by its path in it.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& e : fs::recursive_directory_iterator(folder))
    if (e.is_regular_file()) files[e.path().lexically_relative(folder).string()] = read_file(e.path());
  return files;
}

struct Outcome {
  int code;
  std::string out, error;
};

// The program's own entry with its streams read.
Outcome command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"boxprompt", "synth"});
  std::vector<char*> argv;
  for (std::string& a : arguments) argv.push_back(a.data());
  std::ostringstream out, error;
  auto *usual_out = std::cout.rdbuf(out.rdbuf()), *usual_error = std::cerr.rdbuf(error.rdbuf());
  const int code = app::run(static_cast<int>(argv.size()), argv.data());
  std::cout.rdbuf(usual_out);
  std::cerr.rdbuf(usual_error);
  return {code, out.str(), error.str()};
}

SampleOptions clean_options(std::size_t kind) {
  SampleOptions o;
  o.seed = 21;
  o.least_side = 96;
  o.most_side = 192;
  o.kinds = {};
  o.kinds[kind] = 1;
  o.clean = true;
  return o;
}

}  // namespace

TEST_CASE("one seed gives the same bytes at any number of threads, with any cache, in one run or several") {
  const TempFolder folder;
  set_threads(1);
  run(small_set(folder / "one"));
  set_threads(2);
  run(small_set(folder / "two"));
  const auto whole = contents(folder / "one");
  CHECK(whole.size() == 2 + 2 * 8 + 3);  // Au, Tp and Gt, boxes.json, synth.json, settings.json
  CHECK(contents(folder / "two") == whole);

  SourceStore photos = sample_photos(1), cutouts = disc();  // forgets each photograph at once
  synth(small_set(folder / "poor"), photos, &cutouts, [] { return false; });
  CHECK(contents(folder / "poor") == whole);

  run(small_set(folder / "grown", 4));
  const SynthReport rest = run(small_set(folder / "grown"));
  CHECK(rest.made == 6);
  CHECK(rest.skipped == 4);
  CHECK(contents(folder / "grown") == whole);

  SynthOptions other = small_set(folder / "other");
  other.sample.seed = 5;
  run(other);
  CHECK(contents(folder / "other")["Gt/000000.png"] != whole.at("Gt/000000.png"));
  set_threads(0);
}

TEST_CASE("an interrupted run goes on; lost files, half a journal and a broken synth.json are made good") {
  const TempFolder folder;
  run(small_set(folder / "whole"));
  const auto whole = contents(folder / "whole");

  int asked = 0;
  SourceStore photos = sample_photos(), cutouts = disc();
  set_threads(1);
  const SynthReport first = synth(small_set(folder / "out"), photos, &cutouts, [&] { return ++asked > 5; });
  set_threads(0);
  CHECK(first.interrupted);
  CHECK(first.made == 5);
  CHECK(!fs::exists(folder / "out/synth.json"));
  const std::string journal = read_file(folder / "out/.synth.jsonl");
  folder.write("out/.synth.jsonl", journal.substr(0, journal.size() - 20));  // a kill while it was written
  const SynthReport second = run(small_set(folder / "out"));
  CHECK(second.skipped == 4);
  CHECK(contents(folder / "out") == whole);

  fs::remove(folder / "out/Gt/000001.png");
  CHECK(run(small_set(folder / "out")).made == 1);
  CHECK(contents(folder / "out") == whole);
  CHECK(run(small_set(folder / "out")).made == 0);
  CHECK(contents(folder / "out") == whole);

  folder.write("out/synth.json", "{\"images\": [");
  CHECK(run(small_set(folder / "out")).made == 10);
  CHECK(contents(folder / "out") == whole);
  SynthOptions anew = small_set(folder / "out");
  anew.force = true;
  CHECK(run(anew).made == 10);

  SynthOptions other = small_set(folder / "out");
  other.settings["seed"] = "5";
  CHECK(mentions(error_of([&] { run(other); }), "was made with seed '4', now '5'"));
}

TEST_CASE("the set is read as a data set, and its boxes lie around its masks") {
  const TempFolder folder;
  run(small_set(folder / "set", 20));
  const auto sets = open_datasets(folder / "set");
  REQUIRE(sets.size() == 1);
  CHECK(sets[0].samples.size() == 20);
  CHECK(sets[0].unpaired.empty());
  CHECK(std::count_if(sets[0].samples.begin(), sets[0].samples.end(),
                      [](const Sample& s) { return s.authentic(); }) == 4);

  const BoxSet boxes = load_boxes(folder / "set/boxes.json");
  CHECK(boxes.images.size() == 16);
  const auto images = list_images(folder / "set/Tp");
  const BoxMatches matches = match_boxes(boxes, images);
  CHECK(matches.missing.empty());
  CHECK(matches.without_boxes.empty());
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Tensor mask = load_mask(folder / "set/Gt" / (images[i].path.stem().string() + ".png"));
    const Tensor image = load_image(images[i].path);
    REQUIRE(image.dim(0) == mask.dim(0));
    REQUIRE(image.dim(1) == mask.dim(1));
    std::vector<std::string> notes;
    const auto found = boxes_in_image(boxes, *matches.entries[i], mask.dim(1), mask.dim(0), notes);
    CHECK(notes.empty());
    const Tensor covered = mask_of_boxes(found, mask.dim(0), mask.dim(1));
    i64 inside = 0;
    for (i64 j = 0; j < mask.numel(); ++j) inside += mask.data<u8>()[j] && covered.data<u8>()[j];
    CHECK(static_cast<double>(inside) > 0.85 * static_cast<double>(mask_area(mask)));
    CHECK(mask_area(mask) > 0);
  }
}

TEST_CASE("loosen moves sides outwards, seldom and little inwards, and stays in the image") {
  double outwards = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    Random random(1, i, 0);
    const Box b = loosen({40, 50, 80, 70, {}}, 0.15, 75, 200, random);
    CHECK(b.x0 >= 40 - 6.01);
    CHECK(b.x0 <= 40 + 2.01);
    CHECK(b.y1 <= 73.01);
    CHECK(b.y1 >= 70 - 1.01);
    outwards += (40 - b.x0) + (b.x1 - 80);
    const Box all = loosen({0, 0, 200, 75, {}}, 0.15, 75, 200, random);
    CHECK(all.x0 >= 0);
    CHECK(all.x1 <= 200);
    CHECK(all.y1 <= 75);
  }
  CHECK(outwards / 600 == doctest::Approx(40 * 0.05).epsilon(0.15));
}

TEST_CASE("clean samples differ from their host inside the mask alone, of every kind") {
  SourceStore photos = sample_photos(), cutouts = disc();
  for (std::size_t kind = 0; kind < 4; ++kind) {
    CAPTURE(kManipulations[kind]);
    for (i64 i = 0; i < 12; ++i) {
      CAPTURE(i);
      const SyntheticSample s = make_sample(i, false, clean_options(kind), photos, &cutouts);
      CHECK(s.record["kind"] == kManipulations[kind]);
      CHECK(!s.compression);
      REQUIRE(s.image.shape() == s.host.shape());
      i64 outside = 0, inside = 0;
      for (i64 j = 0; j < s.image.numel(); ++j)
        if (s.image.data<u8>()[j] != s.host.data<u8>()[j]) ++(s.mask.data<u8>()[j / 3] ? inside : outside);
      CHECK(outside == 0);
      CHECK(inside > mask_area(s.mask) / 2);
      CHECK(s.boxes.size() >= 1);
      CHECK(s.boxes.size() <= 3);
      const double share = static_cast<double>(mask_area(s.mask)) / static_cast<double>(s.mask.numel());
      CHECK(share > 0.002);
      CHECK(share < 0.55);
    }
  }
}

TEST_CASE("copy-move copies: a shifted region has its origin's pixels") {
  SourceStore photos = sample_photos();
  int checked = 0;
  for (i64 i = 0; i < 40; ++i) {
    const SyntheticSample s = make_sample(i, false, clean_options(1), photos, nullptr);
    const auto& edit = s.record["edits"][0];
    if (s.record["edits"].size() != 1 || edit["blend"] != "hard" || edit.contains("scale") ||
        edit.contains("degrees") || edit.contains("mirrored"))
      continue;
    const auto along = [&](std::size_t axis) {
      return static_cast<i64>(edit["to"][axis].get<double>() - edit["from"][axis].get<double>());
    };
    const i64 w = s.mask.dim(1), dx = along(0), dy = along(1);
    i64 wrong = 0;
    for (i64 j = 0; j < s.mask.numel(); ++j) {
      if (!s.mask.data<u8>()[j]) continue;
      const i64 from = j - dy * w - dx;
      wrong += !std::equal(s.image.data<u8>() + 3 * j, s.image.data<u8>() + 3 * j + 3,
                           s.host.data<u8>() + 3 * from);
    }
    CHECK(wrong == 0);
    ++checked;
  }
  CHECK(checked >= 5);
}

TEST_CASE("splices bring in other photographs and cut-outs") {
  SourceStore photos = sample_photos(), cutouts = disc();
  int discs = 0;
  for (i64 i = 0; i < 30; ++i) {
    const SyntheticSample s = make_sample(i, false, clean_options(0), photos, &cutouts);
    for (const auto& edit : s.record["edits"]) {
      CHECK(edit["donor"] != s.record["photo"]);
      discs += edit["donor"] == "disc.png";
    }
  }
  CHECK(discs >= 5);
  CHECK(discs <= 25);
}

TEST_CASE("histories and ends vary, and authentic images have no mask") {
  SourceStore photos = sample_photos();
  SampleOptions o = clean_options(0);
  o.clean = false;
  int jpeg = 0, histories = 0;
  for (i64 i = 0; i < 40; ++i) {
    const SyntheticSample s = make_sample(i, true, o, photos, nullptr);
    CHECK(!s.mask.defined());
    CHECK(s.boxes.empty());
    CHECK(s.record["kind"] == "authentic");
    jpeg += s.compression.has_value();
    histories += !s.record["history"].empty();
  }
  CHECK(jpeg > 15);
  CHECK(jpeg < 36);
  CHECK(histories > 25);
}

TEST_CASE("a photograph without anything to see still gives a sample") {
  SourceStore black({{"black", "black"}}, 1 << 20, [](const fs::path&) {
    return zeros({80, 90, 3}, DType::u8);
  });
  SampleOptions o = clean_options(1);
  const SyntheticSample s = make_sample(0, false, o, black, nullptr);
  CHECK(mask_area(s.mask) > 0);
  CHECK(s.record["kind"] == "retouch");
}

TEST_CASE("authentic images are spread evenly") {
  i64 n = 0;
  for (i64 i = 0; i < 1000; ++i) n += is_authentic(i, 0.3);
  CHECK(n == 300);
  CHECK(!is_authentic(5, 0));
  CHECK(is_authentic(5, 1));
}

TEST_CASE(
    "an unreadable photograph in the middle is left out and named; where none is left, that is the error") {
  const TempFolder folder;
  fs::create_directories(folder / "photos");
  for (const auto& e : fs::directory_iterator(kSamples))
    if (has_image_extension(e.path())) fs::copy(e.path(), folder / "photos" / e.path().filename());
  folder.write("photos/c_broken.jpg", "\xFF\xD8\xFF half a photograph");
  save_png(folder / "photos/d_tiny.png", full({20, 20, 3}, 7, DType::u8));
  SourceStore photos(list_images(folder / "photos"), 1 << 30, load_photograph);
  const SynthReport report = synth(small_set(folder / "out", 12), photos, nullptr, [] { return false; });
  CHECK(report.made == 12);
  REQUIRE(report.unreadable.size() == 2);
  CHECK(mentions(report.unreadable[0], "c_broken.jpg"));
  CHECK(mentions(report.unreadable[1], "20x20 pixels"));

  SourceStore none({{folder / "photos/c_broken.jpg", "c_broken.jpg"}}, 1 << 30, load_photograph);
  CHECK(mentions(error_of([&] { synth(small_set(folder / "none"), none, nullptr, [] { return false; }); }),
                 "none of the 1 pictures can be used"));
}

TEST_CASE("a cut-out is read with its alpha; other files are refused with the reason") {
  const TempFolder folder;
  // RGBA of one red, opaque pixel and a green, transparent one, as Python's zlib wrote it.
  const unsigned char png[] = {0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0x00, 0x00, 0x00, 0x0D, 0x49,
                               0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06,
                               0x00, 0x00, 0x00, 0xF4, 0x22, 0x7F, 0x8A, 0x00, 0x00, 0x00, 0x11, 0x49, 0x44,
                               0x41, 0x54, 0x78, 0x9C, 0x63, 0xF8, 0xCF, 0xC0, 0xF0, 0x9F, 0xE1, 0x04, 0x03,
                               0x03, 0x00, 0x0F, 0x54, 0x02, 0xC7, 0x2E, 0x25, 0x6F, 0xCC, 0x00, 0x00, 0x00,
                               0x00, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82};
  const auto file = folder.write("two.png", {reinterpret_cast<const char*>(png), sizeof png});
  const Cutout cutout = load_cutout(file);
  CHECK(cutout.rgb.shape() == Shape{1, 2, 3});
  CHECK(cutout.alpha.data<u8>()[0] == 255);
  CHECK(cutout.alpha.data<u8>()[1] == 0);
  CHECK(cutout.rgb.data<u8>()[0] == 255);
  CHECK(cutout.rgb.data<u8>()[4] == 200);  // hidden, but there
  CHECK(load_premultiplied(file).data<u8>()[5] == 0);

  save_png(folder / "rgb.png", full({9, 9, 3}, 7, DType::u8));
  CHECK(mentions(error_of([&] { load_cutout(folder / "rgb.png"); }), "no transparency"));
  folder.write("a.jpg", encode_jpeg(full({9, 9, 3}, 7, DType::u8), 90));
  CHECK(mentions(error_of([&] { load_cutout(folder / "a.jpg"); }), "a PNG with alpha"));
  CHECK(mentions(error_of([&] { load_cutout(folder / "missing.png"); }), "no such file"));
}

TEST_CASE("the command makes a set, goes on with it, and refuses in one line what cannot be") {
  const TempFolder folder;
  const std::string out = (folder / "set").string(), photos = kSamples.string();
  const auto made = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{photos, "-o", out, "--count", "3", "--size", "96", "128", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return command(arguments);
  };
  const Outcome first = made({"--kinds", "copy-move:2,removal"});
  CHECK(first.code == 0);
  const auto report = nlohmann::json::parse(first.out);
  CHECK(report["made"] == 3);
  CHECK(!report["kinds"].contains("splice"));
  CHECK(nlohmann::json::parse(made({"--kinds", "copy-move:2,removal"}).out)["skipped"] == 3);
  const Outcome other = made({"--kinds", "copy-move:2,removal", "--seed", "9"});
  CHECK(other.code == 1);
  CHECK(mentions(other.error, "was made with seed '0', now '9'"));

  const auto refused = [&](const std::vector<std::string>& arguments, std::string_view why) {
    const Outcome o = command(arguments);
    CAPTURE(o.error);
    CHECK(o.code != 0);
    CHECK(std::count(o.error.begin(), o.error.end(), '\n') == 1);
    CHECK(mentions(o.error, why));
  };
  const std::string fresh = (folder / "fresh").string();
  fs::create_directories(folder / "empty");
  fs::create_directories(folder / "opaque");
  save_png(folder / "opaque/a.png", full({80, 80, 3}, 7, DType::u8));
  folder.write("file", "text");
  refused({"missing", "-o", fresh, "--count", "1"}, "missing: no such folder of photographs");
  refused({(folder / "empty").string(), "-o", fresh, "--count", "1"}, "no images");
  refused({photos, "-o", fresh, "--count", "1", "--cutouts", "gone"}, "gone: no such folder of cut-outs");
  refused({photos, "-o", fresh, "--count", "1", "--cutouts", (folder / "opaque").string()},
          "no transparency");
  refused({photos, "-o", fresh, "--count", "1", "--kinds", "collage"}, "no kind 'collage'");
  refused({photos, "-o", fresh, "--count", "1", "--kinds", "splice:x"}, "wanted KIND or KIND:WEIGHT");
  refused({photos, "-o", fresh, "--count", "1", "--kinds", "splice:0"}, "nothing to make");
  refused({photos, "-o", fresh, "--count", "1", "--size", "300", "200"}, "the smaller first");
  refused({photos, "-o", fresh, "--count", "0"}, "--count");
  refused({photos, "-o", (folder / "file").string(), "--count", "1"}, "cannot make the folder");
  CHECK(!fs::exists(fresh));
}
