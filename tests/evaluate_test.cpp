// Whole sets: means, baselines, reasons, reports, and the command as a user runs it.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/iml/evaluate.h"
#include "apps/iml/evaluate_html.h"
#include "apps/iml/image.h"
#include "apps/iml/localizer.h"
#include "kernels/threads.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"
#include "weights/load.h"

using namespace bp;

namespace {

// A map or mask of `value` in the rows [from, to) of 8, and `rest` elsewhere.
Tensor band(int from, int to, int value = 255, int rest = 0, i64 height = 8, i64 width = 10) {
  Tensor t = full({height, width}, static_cast<float>(rest), DType::u8);
  for (i64 i = from * width; i < to * width; ++i) t.data<u8>()[i] = static_cast<u8>(value);
  return t;
}
void save(const fs::path& path, const Tensor& image) {
  fs::create_directories(path.parent_path());
  save_png(path, image);
}
Tensor photo() {
  return full({8, 10, 3}, 120, DType::u8);
}

// Two manipulated images (2 of 8 rows each), one authentic. Maps: a perfect, b half of it at 100, c quiet.
struct World {
  TempFolder temp;
  std::string set = (temp / "set").string(), maps = (temp / "maps").string();
  World() {
    for (const char* name : {"set/Tp/a.png", "set/Tp/b.png", "set/Au/c.png"}) save(temp / name, photo());
    save(temp / "set/Gt/a.png", band(0, 2));
    save(temp / "set/Gt/b_gt.png", band(0, 2));
    save(temp / "maps/a.png", band(0, 2));
    save(temp / "maps/b.png", band(0, 1, 100));
    save(temp / "maps/c.png", band(0, 1, 20));
  }
  SetScores scores(const EvalOptions& options = {}) const {
    const Dataset data = open_datasets(set)[0];
    const MapFiles files = find_maps(data, maps);
    return evaluate(
        data, [&](std::size_t i) { return load_map(files.maps[i]); }, options);
  }
  struct Outcome {
    int code;
    std::string out, error;
  };
  Outcome run(const std::string& arguments) const {
    return eval("--masks " + maps + " --against " + arguments);
  }
  Outcome eval(const std::string& arguments) const {
    const auto out = temp / "stdout", error = temp / "stderr";
    const int status = std::system(("BOXPROMPT_WEIGHTS= " BOXPROMPT_BINARY " eval " + arguments + " >" +
                                    out.string() + " 2>" + error.string())
                                       .c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(error)};
  }
};

bool close(double a, double b, double tolerance = 1e-6) {
  return std::fabs(a - b) < tolerance;
}
std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  return all;
}

// What is said of maps that are `map` for a mask of 2 of 8 rows.
std::string reasons(const Tensor& map) {
  const World w;
  save(w.temp / "maps/a.png", map);
  save(w.temp / "maps/b.png", map);
  return joined(w.scores().reasons);
}

}  // namespace

TEST_CASE("a set by hand: means, best shared threshold, baselines, image level") {
  const World w;
  const SetScores s = w.scores();
  CHECK(s.images.size() == 3);
  CHECK(s.scored == 2);
  CHECK(close(s.f1, 0.5));  // 1 and 0
  CHECK(close(s.iou, 0.5));
  CHECK(close(*s.auc, (1 + 0.75) / 2));
  CHECK(close(s.best.f1, (1 + 2.0 / 3) / 2));  // b's half is above any threshold below 100/255
  CHECK(s.best.threshold == 0);
  CHECK(close(s.f1_at[99], (1 + 2.0 / 3) / 2));
  CHECK(close(s.f1_at[100], 0.5));
  CHECK(close(s.ones_f1, 2 * 0.25 / 1.25));
  CHECK(close(s.ones_iou, 0.25));
  CHECK(close(s.roc[0], 0.75));  // a's is 1 and b's 0.5 before any false positive
  REQUIRE(s.image_level);
  CHECK(close(s.image_level->accuracy, 2.0 / 3));  // b's highest is 100
  CHECK(close(s.image_level->f1, 2.0 / 3));
  CHECK(*s.image_level->auc == 1);
  CHECK(close(s.ones_accuracy, 2.0 / 3));
  CHECK(close(s.ones_image_f1, 0.8));
  CHECK(s.failed.empty());
}

TEST_CASE("options: threshold, normalisation, authentic pixels, top k") {
  const World w;
  CHECK(close(w.scores({.threshold = 0.3}).f1, (1 + 2.0 / 3) / 2));
  CHECK(close(w.scores({.normalize = true}).f1, (1 + 2.0 / 3) / 2));
  CHECK(close(w.scores({.normalize = true}).images[1].image_score, 100 / 255.0));
  const SetScores all = w.scores({.all = true});
  CHECK(all.scored == 3);
  CHECK(close(all.f1, 1.0 / 3));
  CHECK(close(all.iou, 2.0 / 3));  // nothing said of nothing
  CHECK(close(w.scores({.top_k = 20}).images[1].image_score, 50 / 255.0));
}

TEST_CASE("an all-black mask is an authentic image") {
  const World w;
  save(w.temp / "set/Gt/b_gt.png", band(0, 0));
  const SetScores s = w.scores();
  CHECK(s.scored == 1);
  CHECK(close(s.f1, 1));
  CHECK(close(s.image_level->accuracy, 1));
}

TEST_CASE("the usual causes of an F1 of 0 are named") {
  CHECK(reasons(band(0, 2)).empty());
  CHECK(mentions(reasons(band(0, 2, 0, 255)), "look inverted"));
  CHECK(mentions(reasons(band(0, 0)), "2 of 2 maps are all black"));
  CHECK(!mentions(reasons(band(0, 0)), "inverted"));
  CHECK(mentions(reasons(band(0, 2, 1)), "without times 255"));
  CHECK(mentions(reasons(band(0, 2, 100)), "no value above the threshold"));
  CHECK(mentions(reasons(band(0, 2, 255, 0, 10, 8)), "turned by 90 degrees"));
  CHECK(mentions(reasons(band(0, 2, 255, 0, 8, 40)),
                 "another shape than their mask (Tp/a.png: map 40x8, mask 10x8)"));
  CHECK(reasons(band(0, 2, 255, 0, 8, 8)).empty());    // squeezed to a square, as networks do
  CHECK(reasons(band(0, 4, 255, 0, 16, 20)).empty());  // another size alone is what protocols are for
  Tensor stripes = band(0, 0);
  for (i64 i = 0; i < stripes.numel(); i += 10) stripes.data<u8>()[i] = 255;
  CHECK(mentions(reasons(stripes), "no better than chance"));
}

TEST_CASE("maps are found by stem; one map is not two images'") {
  const World w;
  const Dataset set = open_datasets(w.set)[0];
  fs::remove(w.temp / "maps/b.png");
  save(w.temp / "maps/stray.png", band(0, 1));
  MapFiles files = find_maps(set, w.maps);
  CHECK(files.maps[0].filename() == "a.png");
  CHECK(files.strays == 1);
  REQUIRE(files.missing.size() == 1);
  CHECK(mentions(files.missing[0], "Tp/b.png: no map in"));

  save(w.temp / "set/Au/a.png", photo());
  files = find_maps(open_datasets(w.set)[0], w.maps);
  CHECK(mentions(joined(files.missing), "Au/a.png: " + w.maps + "/a.png is the map of Tp/a.png, too"));
  save(w.temp / "maps/Au/a.png", band(0, 1));
  save(w.temp / "maps/Tp/a.png", band(0, 2));
  fs::remove(w.temp / "maps/a.png");
  CHECK(find_maps(open_datasets(w.set)[0], w.maps).missing.size() == 1);  // b, still

  save(w.temp / "masks/x.1_gt.png", band(0, 2));  // masks alone
  save(w.temp / "others/x.1.png", band(0, 2));
  CHECK(find_maps(open_datasets(w.temp / "masks")[0], w.temp / "others").missing.empty());
}

TEST_CASE("a map that fails fails alone, and the number of threads changes nothing") {
  const World w;
  w.temp.write("maps/a.png", "no image");
  SetScores s = w.scores();
  CHECK(s.scored == 1);
  REQUIRE(s.failed.size() == 1);
  CHECK(mentions(s.failed[0], "Tp/a.png: "));
  const World whole;
  set_threads(1);
  const SetScores one = whole.scores();
  set_threads(4);
  const SetScores four = whole.scores();
  set_threads(0);
  CHECK(one.f1_at == four.f1_at);
  CHECK(one.roc == four.roc);
  CHECK(*one.auc == *four.auc);
}

TEST_CASE("eval: JSON, several sets with their mean, exit codes") {
  const World w;
  auto run = w.run(w.set + " --json --protocol benco");
  CHECK(run.code == 0);
  auto report = nlohmann::json::parse(run.out);
  CHECK(report["protocol"] == "benco");
  CHECK(report["sets"][0]["name"] == "set");
  CHECK(close(report["sets"][0]["f1"], 0.5));
  CHECK(close(report["sets"][0]["baselines"]["all_ones"]["f1"], 0.4));
  CHECK(report["sets"][0]["image_level"]["auc"] == 1);
  CHECK(report["sets"][0]["per_image"].size() == 3);
  CHECK(!report["sets"][0]["per_image"][2].contains("f1"));

  save(w.temp / "other/Tp/d.png", photo());
  save(w.temp / "other/Gt/d.png", band(0, 2));
  save(w.temp / "maps/other/d.png", band(0, 2));
  run = w.run(w.set + " " + (w.temp / "other").string() + " --json");
  CHECK(run.code == 0);
  report = nlohmann::json::parse(run.out);
  CHECK(close(report["mean"]["f1"], 0.75));
  CHECK(mentions(w.run(w.set + " " + (w.temp / "other").string()).out, "mean of the sets"));

  w.temp.write("maps/a.png", "no image");
  run = w.run(w.set + " --json");
  CHECK(run.code == 1);
  report = nlohmann::json::parse(run.out);
  CHECK(report["sets"][0]["scored"] == 1);
  CHECK(mentions(run.error, "not scored: set: Tp/a.png: "));
  CHECK(mentions(run.error, "eval: 1 images were not scored"));

  fs::remove_all(w.maps);
  save(w.temp / "maps/elsewhere.png", band(0, 1));
  run = w.run(w.set);
  CHECK(run.code == 1);
  CHECK(run.out.empty());
  CHECK(mentions(run.error, "none of the 3 images of set has a map in " + w.maps +
                                "; 1 maps there are named after no image"));
  CHECK(w.run((w.temp / "none").string()).code == 1);
  CHECK(w.run(w.set + " --protocol other").code == 2);
}

TEST_CASE("the HTML report stands alone, holds all images and escapes what others named") {
  const World w;
  save(w.temp / "set/Tp/x<script>.png", photo());
  save(w.temp / "set/Gt/x<script>.png", band(0, 2));
  save(w.temp / "maps/x<script>.png", band(4, 8));
  const auto file = w.temp / "report.html";
  REQUIRE(w.run(w.set + " --html " + file.string()).code == 0);
  const std::string html = read_file(file);
  CHECK(html.starts_with("<!DOCTYPE html>"));
  CHECK(!mentions(html, "<script"));
  CHECK(mentions(html, "Tp/x&lt;script&gt;.png"));
  CHECK(!mentions(html, "http"));
  CHECK(mentions(html, "Tp/a.png"));
  CHECK(mentions(html, "Au/c.png (authentic)"));
  std::size_t pictures = 0, polylines = 0;
  for (std::size_t at = 0;
       (at = html.find("src=\"data:image/png;base64,iVBORw0KGgo", at)) != std::string::npos; ++at)
    ++pictures;
  for (std::size_t at = 0; (at = html.find("<polyline", at)) != std::string::npos; ++at) ++polylines;
  CHECK(pictures == 9);  // three of each of three images: the best two and the worst
  CHECK(polylines == 2);
  CHECK(html.find("Best images") < html.find("<b>Tp/a.png"));
  CHECK(html.find("<b>Tp/a.png") < html.find("Worst images"));
}

TEST_CASE("the mean mask: what one map for all images scores that has seen the truth") {
  const World w;
  SetScores s = w.scores({.mean_mask = true});
  REQUIRE(s.mean_mask);
  CHECK(s.mean_mask->f1 > 0.75);  // both masks are the two upper rows of 8, blurred by the 64 x 64
  CHECK(*s.mean_mask->auc > 0.99);
  CHECK(!w.scores().mean_mask);
  save(w.temp / "set/Gt/b_gt.png", band(6, 8));  // top and bottom: no map is right for both
  s = w.scores({.mean_mask = true});
  CHECK(close(s.mean_mask->f1, 2 * 0.5 / 1.5, 0.06));
  CHECK(close(*s.mean_mask->auc, (4 + 0.5 * 2) / 6, 0.03));  // of 6 rows outside, 4 lower and 2 tie
}

namespace {

// The world with photographs that a student can look at, and that student.
struct StudentWorld : World {
  std::string weights = (temp / "student.safetensors").string();
  StudentWorld() {
    for (const char* name : {"set/Tp/a.png", "set/Tp/b.png", "set/Au/c.png"}) {
      Tensor image = empty({48, 60, 3}, DType::u8);
      std::uint32_t seed = static_cast<std::uint32_t>(name[7]);
      for (i64 i = 0; i < image.numel(); ++i) {
        seed = seed * 1664525u + 1013904223u;
        image.data<u8>()[i] = static_cast<u8>(100 + (seed >> 26) + static_cast<unsigned>(i % 60));
      }
      save(temp / name, image);
    }
    save(temp / "set/Gt/a.png", band(0, 12, 255, 0, 48, 60));
    save(temp / "set/Gt/b_gt.png", band(20, 40, 255, 0, 48, 60));
    student::Student net;
    load(net.params(), ProceduralSource());
    bp::save(net.params(), weights, DType::f32, student_metadata({.size = 64, .threshold = 0.25}));
  }
  nlohmann::json report(const std::string& arguments) const {
    const Outcome o = eval("--against " + set + " --json " + arguments);
    CAPTURE(o.error);
    REQUIRE(o.code == 0);
    return nlohmann::json::parse(o.out);
  }
};

}  // namespace

TEST_CASE("eval with a student: its maps at its own size, at its own threshold") {
  const StudentWorld w;
  const Localizer student{fs::path(w.weights)};
  const Dataset data = open_datasets(w.set)[0];
  for (const std::string protocol : {"paper", "benco"}) {
    const auto report = w.report("--weights " + w.weights + " --protocol " + protocol);
    CHECK(report["threshold"] == 0.25);
    const Tensor image = load_image(data.samples[0].image), truth = load_truth(data.samples[0]);
    const PixelScores wanted = score_pixels(student.squeezed(std::span(&image, 1))[0], truth,
                                            protocol == "paper" ? Protocol::paper : Protocol::benco, 0.25);
    CHECK(report["sets"][0]["per_image"][0]["f1"] == wanted.f1);
    CHECK(report["sets"][0]["per_image"][0]["auc"] == *wanted.auc);
    CHECK(report["sets"][0]["baselines"]["mean_mask"]["f1"].get<double>() > 0);
    CHECK(report["mean"]["mean_mask_f1"] == report["sets"][0]["baselines"]["mean_mask"]["f1"]);
  }
  const auto one = w.report("--weights " + w.weights + " --threads 1"),
             two = w.report("--weights " + w.weights + " --threads 2");
  CHECK(one == two);
  CHECK(w.report("--weights " + w.weights + " --threshold 0.5")["threshold"] == 0.5);
  CHECK(w.report("--weights " + w.weights + " --size 96")["sets"][0]["auc"] != one["sets"][0]["auc"]);
  CHECK(w.report("--weights " + w.weights + " --tile 32")["sets"][0]["auc"] != one["sets"][0]["auc"]);
}

TEST_CASE("eval --robust --social: every level once, the same every time, curves in the report") {
  const StudentWorld w;
  const auto html = w.temp / "r.html";
  const std::string arguments = "--weights " + w.weights + " --robust --social --html " + html.string();
  const auto report = w.report(arguments);
  const auto& perturbed = report["sets"][0]["perturbed"];
  REQUIRE(perturbed.size() == 22);
  CHECK(perturbed[0]["family"] == "blur");
  CHECK(perturbed[21]["name"] == "whatsapp");
  for (const auto& p : perturbed) CHECK(p["scored"] == 2);
  CHECK(perturbed[5]["auc"] != report["sets"][0]["auc"]);
  CHECK(perturbed[11]["auc"] != perturbed[6]["auc"]);
  CHECK(w.report(arguments) == report);
  const std::string page = read_file(html);
  CHECK(mentions(page, "Gaussian blur"));
  CHECK(mentions(page, "<td>wechat<td>"));
  CHECK(mentions(page, "mean mask"));
  CHECK(mentions(w.eval("--against " + w.set + " --weights " + w.weights + " --robust").out, "noise 23"));
}

TEST_CASE("eval refuses in one line what it cannot score") {
  const StudentWorld w;
  const auto refused = [&](const std::string& arguments, const char* why) {
    const auto o = w.eval(arguments);
    CAPTURE(o.error);
    CHECK(o.code == 1);
    CHECK(o.out.empty());
    CHECK(mentions(o.error, why));
    CHECK(mentions(o.error, "boxprompt: "));
  };
  const std::string student = " --weights " + w.weights;
  refused("--against " + w.set + " --masks " + w.maps + " --robust", "need a student");
  refused("--against " + w.set + " --weights " + (w.temp / "set/Tp/a.png").string(), "a.png");
  refused("--against " + (w.temp / "set/Gt").string() + student, "masks without their images");
  fs::create_directories(w.temp / "nothing/Tp");
  fs::create_directories(w.temp / "nothing/Gt");
  refused("--against " + (w.temp / "nothing").string() + student, "nothing");
  save(w.temp / "set/Gt/a.png", band(0, 0, 0, 0, 48, 60));
  save(w.temp / "set/Gt/b_gt.png", band(0, 0, 0, 0, 48, 60));
  refused("--against " + w.set + student, "no mask of 3 images has a tampered pixel");
  save(w.temp / "set/Gt/a.png", band(0, 9, 255, 0, 48, 60));
  w.temp.write("set/Tp/b.png", "no image");
  const auto o = w.eval("--against " + w.set + student + " --json");
  CHECK(o.code == 1);
  CHECK(nlohmann::json::parse(o.out)["sets"][0]["scored"] == 1);
  CHECK(mentions(o.error, "not scored: set: Tp/b.png: "));
}
