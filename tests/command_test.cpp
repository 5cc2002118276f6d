// The program as a user runs it: results, exit codes, what is printed, what survives a kill.
#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/iml/files.h"
#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "tests/temp_folder.h"
#include "weights/archive.h"

using namespace bp;

namespace {

const std::string kProgram = BOXPROMPT_BINARY;
const std::string kSource = BOXPROMPT_SOURCE_DIR;
const std::string kSamples = kSource + "/apps/samples";

struct Outcome {
  int code = -1;
  std::string out, error;
  long error_lines() const { return std::count(error.begin(), error.end(), '\n'); }
};

// The folder of this run and MobileSAM's procedural weights, made once.
struct World {
  TempFolder folder;
  std::string weights = (folder / "vit_t.safetensors").string();

  Outcome run(const std::string& arguments) const {
    const auto out = folder / "stdout", error = folder / "stderr";
    const int status =
        std::system((kProgram + " " + arguments + " >" + out.string() + " 2>" + error.string()).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(error)};
  }
  World() { REQUIRE(run("weights make sam_vit_t " + weights).code == 0); }
  std::string operator/(const std::string& name) const { return (folder / name).string(); }
};
const World& world() {
  static const World w;
  return w;
}

nlohmann::json json_of(const Outcome& o) {
  CAPTURE(o.error);
  REQUIRE(o.code == 0);
  return nlohmann::json::parse(o.out);
}

}  // namespace

TEST_CASE("segment answers as the published modules do, whatever the number of threads") {
  const World& w = world();
  const std::string common = "segment " + kSamples + "/coffee_600x400.png --weights " + w.weights + " --json";
  const Archive golden = open_archive(kSource + "/tests/golden/sam_vit_t_coffee_600x400.safetensors");

  const auto one = json_of(w.run(common + " --box 120,100,420,320 -o " + (w / "one.png") + " --dump " +
                                 (w / "one") + " --threads 1"));
  const auto& prompt = one["masks"][0]["prompts"][0];
  CHECK(std::fabs(prompt["predicted_iou"].get<double>() - golden.tensor("box.iou_predictions").item()) <
        1e-3);
  const auto area = golden.integers("box.mask_area")[0];
  CHECK(std::fabs(prompt["area"].get<double>() - static_cast<double>(area)) <=
        1e-3 * static_cast<double>(area));
  CHECK(mask_area(load_mask(w / "one.png")) == prompt["area"].get<i64>());
  const Archive dumped = open_archive(w / "one");
  CHECK(dumped.at("image_embedding").shape == Shape{1, 256, 64, 64});
  CHECK(dumped.at("low_res_logits").shape == Shape{1, 1, 256, 256});
  CHECK(dumped.at("iou_predictions").shape == Shape{1, 1});

  json_of(w.run(common + " --box 120,100,420,320 -o " + (w / "two.png") + " --dump " + (w / "two") +
                " --threads 2"));
  CHECK(read_file(w / "one") == read_file(w / "two"));

  const auto three =
      json_of(w.run(common + " --point 210,160,1 --point 480,80,0 --multimask -o " + (w / "m.png")));
  REQUIRE(three["masks"].size() == 3);
  const auto iou = golden.tensor("points2.iou_predictions").values();
  for (std::size_t m = 0; m < 3; ++m) {
    CHECK(std::fabs(three["masks"][m]["prompts"][0]["predicted_iou"].get<double>() - iou[m]) < 1e-3);
    CHECK(three["masks"][m]["mask"] == w / ("m_" + std::to_string(m + 1) + ".png"));
    CHECK(std::filesystem::exists(w / ("m_" + std::to_string(m + 1) + ".png")));
  }
}

TEST_CASE("segment on an image of 1x1") {
  const World& w = world();
  save_png(w / "dot.png", full({1, 1, 3}, 200, DType::u8));
  const auto report = json_of(w.run("segment " + (w / "dot.png") + " --box 0,0,1,1 --weights " + w.weights +
                                    " --json -o " + (w / "d.png")));
  CHECK(report["width"] == 1);
  CHECK(load_mask(w / "d.png").shape() == Shape{1, 1});
}

TEST_CASE("teach killed with -9 resumes, and its score is that of its masks") {
  const World& w = world();
  const std::string out = w / "killed", truth = w / "truth";
  const std::string arguments = "teach " + kSamples + " --boxes " + kSamples + "/boxes.csv --weights " +
                                w.weights + " -o " + out + " --soft --preview";
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", ("exec " + kProgram + " " + arguments + " >/dev/null 2>&1").c_str(),
          nullptr);
    _exit(127);
  }
  // Wait for the first mask, for two minutes at most.
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!std::filesystem::exists(out + "/masks/astronaut.png") && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  REQUIRE(std::filesystem::exists(out + "/masks/astronaut.png"));
  REQUIRE(!std::filesystem::exists(out + "/masks/rocket.png"));

  // The true masks are the teacher's own answers, so its IoU is 1; the boxes' is what it is.
  const auto first = json_of(w.run(arguments + " --json"));
  CHECK(first["done"].get<int>() + first["skipped"].get<int>() == 4);
  CHECK(first["done"].get<int>() >= 2);
  std::filesystem::copy(out + "/masks", truth);
  const auto second = json_of(w.run(arguments + " --json --score " + truth));
  CHECK(second["skipped"] == 4);
  CHECK(second["score"]["images"] == 4);
  CHECK(second["score"]["teacher_mean_iou"] == 1.0);
  const double box_iou = mask_iou(load_mask(out + "/masks/rocket.png"),
                                  mask_of_boxes(std::vector<Box>{{300, 118, 346, 412, {}}}, 427, 640));
  CHECK(second["score"]["per_image"][3]["image"] == "rocket.jpg");
  CHECK(second["score"]["per_image"][3]["box_iou"].get<double>() == doctest::Approx(box_iou));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(out))
    CHECK(entry.path().extension() != ".part");
}

TEST_CASE("teach reports what it cannot do and does the rest") {
  const World& w = world();
  std::filesystem::create_directories(w / "mixed");
  std::filesystem::copy_file(kSamples + "/chelsea.png", w / "mixed/good.png");
  w.folder.write("mixed/text.jpg", "this is no picture");
  w.folder.write("mixed/empty.png", "");
  w.folder.write("mixed.csv",
                 "image,x0,y0,x1,y1\ngood.png,10,10,200,200\ntext.jpg,0,0,5,5\nempty.png,0,0,5,5\n"
                 "gone.png,0,0,5,5\n");
  const Outcome o = w.run("teach " + (w / "mixed") + " --boxes " + (w / "mixed.csv") + " --weights " +
                          w.weights + " -o " + (w / "mixed_out") + " --json");
  CHECK(o.code == 1);
  const auto report = nlohmann::json::parse(o.out);
  CHECK(report["done"] == 1);
  REQUIRE(report["failed"].size() == 3);
  CHECK(o.error.find("text.jpg: is text") != std::string::npos);
  CHECK(o.error.find("gone.png: annotated") != std::string::npos);
  CHECK(o.error.find("3 of 4 images failed") != std::string::npos);
  CHECK(std::filesystem::exists(w / "mixed_out/masks/good.png"));
}

TEST_CASE("bad input ends in one line and a code") {
  const World& w = world();
  const std::string coffee = kSamples + "/coffee_600x400.png", out = w / "never.png";
  w.folder.write("empty", "");
  w.folder.write("text.pth", "no weights at all, but long enough to be something");
  w.folder.write("nan.csv", "image,x0,y0,x1,y1\ncoffee_600x400.png,nan,0,5,5\n");
  REQUIRE(w.run("weights make tiny_vit_5m " + (w / "trunk")).code == 0);
  const auto segment = [&](const std::string& rest) {
    return "segment " + coffee + " -o " + out + " " + rest;
  };
  const std::string box = " --box 10,10,50,50";
  struct Bad {
    std::string arguments, says;
  };
  const Bad cases[] = {
      {segment(box + " --weights " + (w / "missing")), "missing"},
      {segment(box + " --weights " + (w / "empty")), "empty"},
      {segment(box + " --weights " + (w / "text.pth")), "text.pth"},
      {segment(box + " --weights " + coffee), coffee},
      {segment(box + " --weights /tmp"), "/tmp"},
      {segment(box + " --weights " + (w / "trunk")), "tiny_vit_5m, wanted a SAM"},
      {segment("--box 900,900,950,950 --weights " + w.weights), "outside"},
      {segment("--box 50,10,10,50 --weights " + w.weights), "inverted"},
      {segment("--box 10,10,10,50 --weights " + w.weights), "empty"},
      {segment("--box nan,10,20,50 --weights " + w.weights), "nan"},
      {segment("--box 1,2,3 --weights " + w.weights), "3 numbers, wanted 4"},
      {segment("--point 10,10,7 --weights " + w.weights), "label 7"},
      {segment("--point 700,10,1 --weights " + w.weights), "outside the image of 600x400"},
      {segment("--weights " + w.weights), "at least one --box or --point"},
      {segment(box + box + " --point 1,1,1 --weights " + w.weights), "one box"},
      {"segment /nowhere.png -o " + out + box + " --weights " + w.weights, "/nowhere.png"},
      {segment(box + " --weights " + w.weights + " -o /nowhere/mask.png"), "-o"},
      {"segment " + coffee + " -o /nowhere/mask.png" + box + " --weights " + w.weights, "/nowhere"},
      {"teach " + kSamples + " --boxes " + (w / "missing") + " --weights " + w.weights + " -o " + (w / "x"),
       "missing"},
      {"teach " + kSamples + " --boxes " + (w / "empty") + " --weights " + w.weights + " -o " + (w / "x"),
       "empty"},
      {"teach /nowhere --boxes " + kSamples + "/boxes.csv --weights " + w.weights + " -o " + (w / "x"),
       "/nowhere"},
      {"teach " + kSamples + " --weights " + w.weights + " -o " + (w / "x"), "--boxes"},
      {"weights inspect " + (w / "empty"), "empty"},
      {"weights make sam_vit_x " + out, "sam_vit_b"},
      {"--threads -1 devices", "--threads"},
      {"frobnicate", "unknown command frobnicate"},
      {"", "subcommand"},
  };
  for (const Bad& bad : cases) {
    CAPTURE(bad.arguments);
    const Outcome o = w.run(bad.arguments);
    CAPTURE(o.error);
    CHECK(o.code > 0);
    CHECK(o.code < 128);
    CHECK(o.error.find(bad.says) != std::string::npos);
    CHECK(o.error_lines() == 1);
    CHECK(o.out.empty());
    CHECK(!std::filesystem::exists(out));
  }
  const Outcome nan = w.run("teach " + kSamples + " --boxes " + (w / "nan.csv") + " --weights " + w.weights +
                            " -o " + (w / "nan_out"));
  CHECK(nan.code == 1);
  CHECK(nan.error.find("1 of 4 images failed") != std::string::npos);
}

TEST_CASE("a disk that is full leaves the old files and nothing half-written") {
  const World& w = world();
  std::filesystem::create_directories(w / "full");
  w.folder.write("full/dump", "old dump");
  w.folder.write("full/mask.png", "old mask");
  // A limit on the size of files stands in for the full disk: writing beyond 512 bytes fails.
  const std::string rest =
      kSamples + "/chelsea.png --box 1,1,90,90 --weights " + w.weights + " -o " + (w / "full/mask.png");
  const auto limited = [&](const std::string& arguments) {
    const std::string error = w / "limited_stderr";
    const int status = std::system(("bash -c 'trap \"\" XFSZ; ulimit -f 1; " + kProgram + " " + arguments +
                                    " 2>&1 | cat >" + error + "; exit ${PIPESTATUS[0]}'")
                                       .c_str());
    return std::pair{WEXITSTATUS(status), read_file(error)};
  };
  const auto [dump_code, dump_error] = limited("segment " + rest + " --dump " + (w / "full/dump"));
  CHECK(dump_code == 1);
  CHECK(dump_error.find("full/dump") != std::string::npos);
  const auto [mask_code, mask_error] = limited("segment " + rest);
  CHECK(mask_code == 1);
  CHECK(mask_error.find("full/mask.png") != std::string::npos);
  CHECK(read_file(w / "full/dump") == "old dump");
  CHECK(read_file(w / "full/mask.png") == "old mask");
  const std::filesystem::directory_iterator left(w / "full");
  CHECK(std::distance(begin(left), end(left)) == 2);
}

TEST_CASE("devices says what runs") {
  const World& w = world();
  const auto report = json_of(w.run("devices --json --threads 2"));
  CHECK(report["cpu"]["threads"] == 2);
  CHECK(!report["cpu"]["kernels"].get<std::string>().empty());
  CHECK(report["devices"].back()["device"] == "simt");
  CHECK(report["why_no_cuda"].get<std::string>().empty() == (report["devices"].size() > 1));
}

TEST_CASE("a CUDA part that cannot be used is named, with the reason, and the processor does the work") {
  const World& w = world();
  const std::string folder = fs::path(BOXPROMPT_BINARY).parent_path().string() + "/fakes/";
  struct Fake {
    std::string file, why;
  };
  for (const Fake& fake : {Fake{"/nowhere.so", "/nowhere.so: cannot open"},
                           Fake{folder + "libother_version.so", "of backend version 99, this program wants"},
                           Fake{folder + "libno_driver.so", "the driver is for CUDA 11.2"},
                           Fake{folder + "libno_device.so", "found no device"},
                           Fake{folder + "libno_entry.so", "not a backend"}}) {
    CAPTURE(fake.file);
    setenv("BOXPROMPT_CUDA_LIBRARY", fake.file.c_str(), 1);
    CHECK(json_of(w.run("devices --json"))["why_no_cuda"].get<std::string>().find(fake.why) !=
          std::string::npos);
    const std::string out = w.run("devices").out;
    CHECK(out.find("cuda    none: ") != std::string::npos);
    CHECK(std::count(out.begin(), out.end(), '\n') == 6);
    const Outcome refused = w.run("model student --device cuda");
    CHECK(refused.code == 1);
    CHECK(refused.error_lines() == 1);
    CHECK(refused.error.find("boxprompt: device cuda:0: ") == 0);
    CHECK(refused.error.find(fake.why) != std::string::npos);
    CHECK(w.run("model student --size 64").code == 0);
  }
  unsetenv("BOXPROMPT_CUDA_LIBRARY");
  CHECK(w.run("model student --device gpu").error.find("wanted cpu, cuda, cuda:N, simt or auto") !=
        std::string::npos);
}
