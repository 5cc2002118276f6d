// The teacher's pipeline with a made-up teacher whose answers are known: what it writes, what it does again,
// what it survives, and whether its scores are right.
#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "apps/iml/teach.h"
#include "apps/iml/teach_records.h"
#include "kernels/threads.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

constexpr i64 kHeight = 20, kWidth = 40;

// Answers with the left half of the box, at logit 2, and -3 elsewhere.
class HalfTeacher final : public Teacher {
 public:
  int looked = 0;
  int die_at = -1;  // kill the process when asked about this image
  bool nan = false;

  void look(const Tensor& image) override {
    image_ = image;
    if (looked++ == die_at) raise(SIGKILL);
  }
  void ask(std::span<const Box> boxes, const std::function<void(std::size_t, const Answer&)>& each) override {
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      Tensor logits = full({image_.dim(0), image_.dim(1)}, -3.0f);
      const Box& b = boxes[i];
      for (i64 y = 0; y < image_.dim(0); ++y)
        for (i64 x = 0; x < image_.dim(1); ++x) {
          const double cx = static_cast<double>(x) + 0.5, cy = static_cast<double>(y) + 0.5;
          if (cx > b.x0 && cx < (b.x0 + b.x1) / 2 && cy > b.y0 && cy < b.y1)
            logits.data<float>()[y * image_.dim(1) + x] =
                nan ? std::numeric_limits<float>::quiet_NaN() : 2.0f;
        }
      each(i, {logits, 0.25 + 0.5 * static_cast<double>(i), 0.125});
    }
  }

 private:
  Tensor image_;
};

// Images in a folder, each with the boxes given.
struct Scene {
  TempFolder folder;
  std::vector<Task> tasks;
  HalfTeacher teacher;
  TeachOptions options;

  explicit Scene(int images = 3) {
    options = {.out = folder / "out", .soft = true, .preview = true, .settings = {{"teacher", "half"}}};
    for (int i = 0; i < images; ++i) add("image" + std::to_string(i) + ".png", {{4, 2, 12, 10, {}}});
  }
  void add(const std::string& key, const std::vector<Box>& boxes) {
    std::filesystem::create_directories((folder / "in" / key).parent_path());
    save_png(folder / "in" / key, full({kHeight, kWidth, 3}, 99, DType::u8));
    tasks.push_back(
        {{folder / "in" / key, key}, "first", [boxes](i64 width, i64 height, std::vector<std::string>&) {
           CHECK(width == kWidth);
           CHECK(height == kHeight);
           return boxes;
         }});
  }
  TeachReport run() {
    return teach(tasks, teacher, options, [] { return false; });
  }
  std::filesystem::path out(const std::string& name) const { return folder / "out" / name; }
  std::map<std::string, std::vector<Record>> records() const { return read_records(out("teach.jsonl")); }
};

Tensor box_mask(const Box& b) {
  return mask_of_boxes(std::vector<Box>{b}, kHeight, kWidth);
}

}  // namespace

TEST_CASE("teach writes united masks, probabilities, previews and a record per box") {
  Scene scene(0);
  scene.add("sub/two.png", {{4, 2, 12, 10, "cat"}, {20, 5, 36, 15, {}}});
  scene.add("authentic.png", {});
  const TeachReport report = scene.run();
  CHECK(report.done == 2);
  CHECK(report.boxes == 2);
  CHECK(report.failed.empty());

  const Tensor mask = load_mask(scene.out("masks/sub/two.png"));
  Tensor wanted = box_mask({4, 2, 8, 10, {}});
  unite(wanted, box_mask({20, 5, 28, 15, {}}));
  CHECK(mask.values() == wanted.values());
  CHECK(mask_area(mask) == 4 * 8 + 8 * 10);
  // sigmoid(2) and sigmoid(-3), in 255ths.
  const auto soft = load_image(scene.out("soft/sub/two.png")).values();
  for (i64 i = 0; i < kHeight * kWidth; ++i)
    CHECK(soft[static_cast<std::size_t>(3 * i)] == (wanted.data<u8>()[i] ? 225.0f : 12.0f));
  const Tensor preview = load_image(scene.out("preview/sub/two.png"));
  CHECK(preview.shape() == Shape{kHeight, kWidth, 3});
  CHECK(preview.values() != full({kHeight, kWidth, 3}, 99, DType::u8).values());

  CHECK(mask_area(load_mask(scene.out("masks/authentic.png"))) == 0);

  const auto records = scene.records();
  REQUIRE(records.at("sub/two.png").size() == 2);
  const Record& second = records.at("sub/two.png")[1];
  CHECK(second.box_index == 1);
  CHECK(second.boxes == 2);
  CHECK(second.box.x0 == 20);
  CHECK(second.box.y1 == 15);
  CHECK(records.at("sub/two.png")[0].box.label == "cat");
  CHECK(second.predicted_iou == 0.75);
  CHECK(second.area == 80);
  CHECK(second.seconds == 0.125);
  CHECK(second.stability == 1.0);  // all that is above -1 is above 1
  REQUIRE(records.at("authentic.png").size() == 1);
  CHECK(records.at("authentic.png")[0].boxes == 0);
  CHECK(scene.teacher.looked == 1);  // nothing to ask about the authentic image
}

TEST_CASE("a second run does only what is missing or was annotated anew") {
  Scene scene;
  CHECK(scene.run().done == 3);
  TeachReport again = scene.run();
  CHECK(again.done == 0);
  CHECK(again.skipped == 3);
  CHECK(scene.teacher.looked == 3);

  std::filesystem::remove(scene.out("masks/image1.png"));
  again = scene.run();
  CHECK(again.done == 1);
  CHECK(std::filesystem::exists(scene.out("masks/image1.png")));

  scene.tasks[2].annotation = "second";
  scene.tasks[2].boxes = [](i64, i64, std::vector<std::string>&) {
    return std::vector<Box>{{0, 0, 10, 10, {}}, {20, 0, 30, 10, {}}};
  };
  again = scene.run();
  CHECK(again.done == 1);
  CHECK(again.skipped == 2);
  CHECK(scene.records().at("image2.png").size() == 2);
  CHECK(mask_area(load_mask(scene.out("masks/image2.png"))) == 100);
  CHECK(scene.run().skipped == 3);
}

TEST_CASE("a run killed in the middle goes on where it was") {
  set_threads(1);  // a forked child has no pool to wait for
  Scene scene(4);
  const pid_t child = fork();
  if (child == 0) {
    scene.teacher.die_at = 2;
    scene.run();
    _exit(0);
  }
  set_threads(0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
  CHECK(scene.records().size() == 2);
  const TeachReport report = scene.run();
  CHECK(report.skipped == 2);
  CHECK(report.done == 2);
  CHECK(scene.records().size() == 4);
  for (int i = 0; i < 4; ++i)
    CHECK(mask_area(load_mask(scene.out("masks/image" + std::to_string(i) + ".png"))) == 32);
}

TEST_CASE("a record torn by a kill is done again, at every length") {
  Scene scene(2);
  scene.run();
  const std::string whole = read_file(scene.out("teach.jsonl"));
  const auto second = whole.find('\n') + 1;
  for (std::size_t length = second; length < whole.size() - 1; length += 7) {
    write_file(scene.out("teach.jsonl"), std::string_view(whole).substr(0, length));
    const TeachReport report = scene.run();
    CHECK(report.skipped == 1);
    CHECK(report.done == 1);
    CHECK(scene.records().size() == 2);
  }
}

TEST_CASE("an image that fails is told, and the others are done") {
  Scene scene(1);
  scene.add("bad.png", {{0, 0, 5, 5, {}}});
  scene.add("boxless.png", {});
  scene.add("last.png", {{0, 0, 5, 5, {}}});
  scene.folder.write("in/bad.png", "not an image");
  scene.tasks[2].boxes = [](i64, i64, std::vector<std::string>&) -> std::vector<Box> {
    fail("boxes.csv: box outside");
  };
  TeachReport report = scene.run();
  CHECK(report.done == 2);
  REQUIRE(report.failed.size() == 2);
  CHECK(report.failed[0].find("bad.png") != std::string::npos);
  CHECK(report.failed[1] == "boxless.png: boxes.csv: box outside");
  CHECK(std::filesystem::exists(scene.out("masks/last.png")));
  CHECK(!std::filesystem::exists(scene.out("masks/bad.png")));

  scene.teacher.nan = true;
  scene.add("nan.png", {{0, 0, 5, 5, {}}});
  report = scene.run();
  REQUIRE(report.failed.size() == 3);
  CHECK(report.failed[2].find("NaN") != std::string::npos);
  CHECK(!std::filesystem::exists(scene.out("masks/nan.png")));
}

TEST_CASE("interruption stops before the next image") {
  Scene scene;
  int asked = 0;
  TeachReport report = teach(scene.tasks, scene.teacher, scene.options, [&] { return asked++ == 1; });
  CHECK(report.interrupted);
  CHECK(report.done == 1);
  report = scene.run();
  CHECK(!report.interrupted);
  CHECK(report.skipped == 1);
  CHECK(report.done == 2);
}

TEST_CASE("other settings are refused unless forced") {
  Scene scene;
  scene.run();
  scene.options.settings["teacher"] = "whole";
  const std::string error = error_of([&] { scene.run(); });
  CHECK(error.find("teacher 'half', now 'whole'") != std::string::npos);
  scene.options.force = true;
  CHECK(scene.run().done == 3);
  scene.options.force = false;
  CHECK(scene.run().skipped == 3);
}

TEST_CASE("two images that would share a mask are refused") {
  Scene scene(0);
  scene.add("a.png", {{0, 0, 5, 5, {}}});
  scene.add("a.bmp", {{0, 0, 5, 5, {}}});
  const std::string error = error_of([&] { scene.run(); });
  CHECK(error.find("a.png and a.bmp") != std::string::npos);
  CHECK(scene.teacher.looked == 0);
}

TEST_CASE("scores of a known teacher") {
  Scene scene(3);
  scene.add("unpaired.png", {{4, 2, 12, 10, {}}});
  scene.add("other_size.png", {{4, 2, 12, 10, {}}});
  scene.add("authentic.png", {});
  scene.run();
  // The box is 8 x 8, the answer its left half.
  const auto truth = scene.folder / "truth";
  std::filesystem::create_directories(truth);
  save_png(truth / "image0_gt.png", box_mask({4, 2, 8, 10, {}}));    // teacher 1, box 1/2
  save_png(truth / "image1.png", box_mask({4, 2, 12, 10, {}}));      // teacher 1/2, box 1
  save_png(truth / "image2_mask.png", box_mask({4, 2, 6, 10, {}}));  // teacher 1/2, box 1/4
  save_png(truth / "other_size.png", zeros({3, 3}, DType::u8));
  save_png(truth / "authentic.png", zeros({kHeight, kWidth}, DType::u8));

  const Score s = score(scene.tasks, scene.out(""), truth);
  REQUIRE(s.rows.size() == 3);
  CHECK(s.rows[0].image == "image0.png");
  CHECK(s.rows[0].teacher == doctest::Approx(1.0));
  CHECK(s.rows[0].box == doctest::Approx(0.5));
  CHECK(s.teacher_mean == doctest::Approx(2.0 / 3));
  CHECK(s.teacher_median == doctest::Approx(0.5));
  CHECK(s.box_mean == doctest::Approx(1.75 / 3));
  CHECK(s.box_median == doctest::Approx(0.5));
  REQUIRE(s.not_scored.size() == 2);
  CHECK(s.not_scored[0].rfind("unpaired.png: no true mask", 0) == 0);
  CHECK(s.not_scored[1].find("3x3") != std::string::npos);
}

TEST_CASE("without a teacher the mask is the box, cut off at the image") {
  Scene scene(0);
  scene.add("a.png", {{4, 2, 12, 10, {}}, {30, 5, 36, 15, {}}});
  BoxTeacher teacher;
  const TeachReport report = teach(scene.tasks, teacher, scene.options, [] { return false; });
  CHECK(report.done == 1);
  Tensor wanted = box_mask({4, 2, 12, 10, {}});
  unite(wanted, box_mask({30, 5, 36, 15, {}}));
  CHECK(load_mask(scene.out("masks/a.png")).values() == wanted.values());
  CHECK(scene.records().at("a.png")[0].predicted_iou == 0);
}
