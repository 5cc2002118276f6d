// boxprompt locate as a user runs it: pictures, records, polygons, what is skipped, refused and survives.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/iml/contours.h"
#include "apps/iml/draw.h"
#include "apps/iml/files.h"
#include "apps/iml/image.h"
#include "apps/iml/localizer.h"
#include "apps/iml/masks.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"
#include "weights/load.h"

using namespace bp;

namespace {

// A student that has learned nothing, small input, at a threshold that divides its maps.
struct World {
  TempFolder temp;
  std::string weights = (temp / "student.safetensors").string();

  struct Outcome {
    int code;
    std::string out, error;
  };
  Outcome run(const std::string& arguments, const std::string& environment = "BOXPROMPT_WEIGHTS=") const {
    const auto out = temp / "stdout", error = temp / "stderr";
    const int status = std::system((environment + " " + BOXPROMPT_BINARY + " locate " + arguments + " >" +
                                    out.string() + " 2>" + error.string())
                                       .c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(error)};
  }
  nlohmann::json json(const std::string& arguments,
                      const std::string& environment = "BOXPROMPT_WEIGHTS=") const {
    const Outcome o = run(arguments + " --json", environment);
    CAPTURE(o.error);
    REQUIRE(o.code == 0);
    return nlohmann::json::parse(o.out);
  }
  std::string operator/(const std::string& name) const { return (temp / name).string(); }
  std::string with_weights() const { return " --weights " + weights; }

  World() {
    student::Student net;
    load(net.params(), ProceduralSource());
    StudentConfig config{.size = 64, .threshold = 0.5};
    // The threshold is set to the median of its map of a sample, so that masks are neither empty nor full.
    auto p = Localizer(net, config).map(load_image(sample())).values();
    std::nth_element(p.begin(), p.begin() + static_cast<std::ptrdiff_t>(p.size() / 2), p.end());
    config.threshold = std::round(1e4 * static_cast<double>(p[p.size() / 2])) / 1e4;
    threshold = config.threshold;
    save(net.params(), weights, DType::f32, student_metadata(config));
  }
  static std::string sample() {
    return std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples/coffee_600x400.png";
  }
  double threshold = 0;
};
const World& world() {
  static const World w;
  return w;
}

void save_noise(const fs::path& path, i64 height, i64 width, std::uint32_t seed) {
  Tensor image = empty({height, width, 3}, DType::u8);
  for (i64 i = 0; i < image.numel(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    image.data<u8>()[i] = static_cast<u8>(seed >> 24);
  }
  fs::create_directories(path.parent_path());
  save_png(path, image);
}

}  // namespace

TEST_CASE("one image: mask, map, heat map and record agree with the network") {
  const World& w = world();
  const std::string out = w / "one";
  const auto report = w.json(World::sample() + w.with_weights() + " -o " + out);
  CHECK(report["threshold"] == w.threshold);
  CHECK(report["input_size"] == 64);
  CHECK(report["architecture"] == "student");
  CHECK(report["tiles"].is_null());
  REQUIRE(report["images"].size() == 1);
  const auto& record = report["images"][0];
  const Tensor image = load_image(World::sample());
  const Tensor map = Localizer(fs::path(w.weights)).map(image);
  const Tensor mask = load_mask(out + "/masks/coffee_600x400.png"),
               soft = load_image(out + "/soft/coffee_600x400.png");
  REQUIRE(mask.shape() == Shape{400, 600});
  float highest = 0;
  double area = 0;
  for (i64 i = 0; i < map.numel(); ++i) {
    const float p = map.data<float>()[i];
    highest = std::max(highest, p);
    const bool in = static_cast<double>(p) > w.threshold;
    area += in;
    REQUIRE((mask.data<u8>()[i] == 255) == in);
    REQUIRE(soft.data<u8>()[3 * i] == std::lround(255 * p));
  }
  CHECK(area > 0.05 * static_cast<double>(map.numel()));
  CHECK(area < 0.95 * static_cast<double>(map.numel()));
  CHECK(record["area"] == area);
  CHECK(record["score_max"].get<double>() == doctest::Approx(static_cast<double>(highest)));
  CHECK(record["score_top"].get<double>() < record["score_max"].get<double>());
  CHECK(record["manipulated"] == true);
  CHECK(record["width"] == 600);
  const Tensor heat = load_image(out + "/heat/coffee_600x400.png");
  CHECK(heat.shape() == image.shape());
  Tensor grey = empty({400, 600}, DType::u8);
  for (i64 i = 0; i < grey.numel(); ++i) grey.data<u8>()[i] = soft.data<u8>()[3 * i];
  CHECK(heat.values() == heat_overlay(image, grey, mask).values());

  // The polygons are those of the mask.
  const auto regions = regions_of(mask, 600.0 / 500);
  REQUIRE(record["regions"].size() + record["small_regions"].get<std::size_t>() == regions.size());
  CHECK(record["regions"][0]["area"] == regions[0].area);
  CHECK(record["regions"][0]["polygon"].size() == regions[0].outline.size());
  CHECK(record["regions"][0]["polygon"][0][0] == regions[0].outline[0].x);
  CHECK(record["regions"][0]["mean"].get<double>() > w.threshold);
}

TEST_CASE("folders: batches and threads change nothing, a second run does what is missing") {
  const World& w = world();
  for (int i = 0; i < 5; ++i)
    save_noise(w / text("many/", i < 3 ? "" : "deep/", "n", i, ".png"), 30 + 13 * i, 80 - 9 * i,
               7u + static_cast<std::uint32_t>(i));
  const std::string base = (w / "many") + w.with_weights() + " --recursive -o ";
  const auto first = w.json(base + (w / "a") + " --batch 2 --threads 2");
  CHECK(first["done"] == 5);
  const auto other = w.json(base + (w / "b") + " --batch 5 --threads 1");
  CHECK(first["images"] == other["images"]);
  for (const char* kind : {"masks", "soft", "heat"})
    CHECK(read_file(w / text("a/", kind, "/deep/n3.png")) == read_file(w / text("b/", kind, "/deep/n3.png")));
  CHECK(read_file(w / "a/locate.jsonl") == read_file(w / "b/locate.jsonl"));

  fs::remove(w / "a/soft/n1.png");
  const auto again = w.json(base + (w / "a"));
  CHECK(again["done"] == 1);
  CHECK(again["skipped"] == 4);
  CHECK(again["images"] == first["images"]);
  save_noise(w / "many/n0.png", 33, 44, 99);  // another picture of that name
  CHECK(w.json(base + (w / "a"))["done"] == 1);
  const auto refused = w.run(base + (w / "a") + " --threshold 0.9");
  CHECK(refused.code == 1);
  CHECK(mentions(refused.error, "was made with threshold"));
  const auto forced = w.json(base + (w / "a") + " --threshold 0.99999 --force");
  CHECK(forced["done"] == 5);
  CHECK(forced["images"][0]["manipulated"] == false);
  CHECK(forced["images"][0]["regions"].empty());
}

TEST_CASE("only the pictures that are asked for") {
  const World& w = world();
  CHECK(w.json(World::sample() + w.with_weights() + " --soft -o " + (w / "soft"))["done"] == 1);
  CHECK(fs::exists(w / "soft/soft/coffee_600x400.png"));
  CHECK(!fs::exists(w / "soft/masks"));
  CHECK(!fs::exists(w / "soft/heat"));
}

TEST_CASE("tiles: with and without a number, and their shapes") {
  const World& w = world();
  const std::string base = World::sample() + w.with_weights();
  const auto tiled = w.json(base + " --tile 150 --overlap 0.25 -o " + (w / "t1"));
  CHECK(tiled["tiles"]["side"] == 150);
  CHECK(tiled["tiles"]["overlap"] == 0.25);
  const auto plain = w.json(base + " --tile -o " + (w / "t2"));
  CHECK(plain["tiles"]["side"] == 128);
  CHECK(plain["images"][0]["score_max"] != tiled["images"][0]["score_max"]);
  const auto wrong = w.run(base + " -o " + (w / "t3") + " --tile " + World::sample());
  CHECK(wrong.code == 1);
  CHECK(mentions(wrong.error, "images go before --tile"));
  for (const auto& [height, width] : {std::pair<i64, i64>{1, 300}, {1, 1}, {301, 7}, {129, 127}})
    save_noise(w / text("odd/", height, "x", width, ".png"), height, width, 3);
  const auto odd = w.json((w / "odd") + w.with_weights() + " --tile -o " + (w / "t4"));
  REQUIRE(odd["images"].size() == 4);
  for (const auto& record : odd["images"])
    CHECK(load_mask((w / "t4/masks/") + record["image"].get<std::string>()).shape() ==
          Shape{record["height"].get<i64>(), record["width"].get<i64>()});
}

TEST_CASE("bad input is one line and an exit code, and the other images are done") {
  const World& w = world();
  save_noise(w / "mixed/a.png", 20, 20, 1);
  save_noise(w / "mixed/c.png", 20, 20, 2);
  w.temp.write("mixed/b.png", "no image at all");
  const auto mixed = w.run((w / "mixed") + w.with_weights() + " --json -o " + (w / "m"));
  CHECK(mixed.code == 1);
  const auto report = nlohmann::json::parse(mixed.out);
  CHECK(report["done"] == 2);
  REQUIRE(report["failed"].size() == 1);
  CHECK(mentions(report["failed"][0].get<std::string>(), "b.png"));
  CHECK(mentions(mixed.error, "locate: 1 of 3 images failed"));

  const std::string out = " -o " + (w / "never");
  const auto refused = [&](const std::string& arguments, const char* why) {
    const auto o = w.run(arguments + out);
    CAPTURE(o.error);
    CHECK(o.code == 1);
    CHECK(mentions(o.error, why));
    CHECK(std::count(o.error.begin(), o.error.end(), '\n') == 1);
    CHECK(!fs::exists(w / "never"));
  };
  refused((w / "none.png") + w.with_weights(), "no such file");
  w.temp.write("text.safetensors", "hello");
  refused(World::sample() + " --weights " + (w / "text.safetensors"), "text.safetensors");
  refused(World::sample() + " --weights " + (w / "missing"), "missing");
  refused(World::sample() + w.with_weights() + " --size 100", "input size 100");
  refused(World::sample() + w.with_weights() + " --tile 5", "--tile 5: wanted pixels");
  refused(World::sample() + " " + World::sample() + w.with_weights(), "would write the same mask");
  CHECK(w.run(World::sample() + w.with_weights() + " --threshold 2" + out).code == 2);
  CHECK(w.run(World::sample() + out, "BOXPROMPT_WEIGHTS=" + (w / "missing")).code == 1);
}

TEST_CASE("the environment names the weights") {
  const World& w = world();
  const auto report = w.json(World::sample() + " -o " + (w / "env"), "BOXPROMPT_WEIGHTS=" + w.weights);
  CHECK(report["weights"] == w.weights);
}

TEST_CASE("heat maps: the image where nothing is, red where all is") {
  const Tensor image = full({8, 8, 3}, 100, DType::u8);
  Tensor map = zeros({8, 8}, DType::u8);
  for (i64 x = 0; x < 8; ++x) map.data<u8>()[4 * 8 + x] = 255;
  const Tensor drawn = heat_overlay(image, map, zeros({8, 8}, DType::u8));
  CHECK(drawn.data<u8>()[0] == 100);
  CHECK(drawn.data<u8>()[2] == 100);
  const u8* hot = drawn.data<u8>() + 4 * 8 * 3;
  CHECK(hot[0] > 180);
  CHECK(hot[1] < 60);
  Tensor mask = zeros({8, 8}, DType::u8);
  mask.data<u8>()[9] = 255;
  CHECK(heat_overlay(image, map, mask).data<u8>()[9 * 3] == 255);
  CHECK(mentions(error_of([&] { heat_overlay(image, map, zeros({7, 8}, DType::u8)); }), "heat_overlay"));
}
