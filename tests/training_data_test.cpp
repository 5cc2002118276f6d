// What stands before a training step: the order of samples, the loader, augmentation, the log.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "apps/iml/filters.h"
#include "apps/iml/loader.h"
#include "apps/iml/train_log.h"
#include "apps/iml/training_data.h"
#include "tests/errors.h"
#include "tests/training_case.h"

using namespace bp;

TEST_CASE("every round shows each sample once, in an order of its own that the seed decides") {
  SampleOrder order({3, 4}, 5, false), again({3, 4}, 5, false), other({3, 4}, 6, false);
  std::vector<std::vector<std::pair<i64, i64>>> rounds(3);
  bool differs = false;
  for (i64 n = 0; n < 21; ++n) {
    const auto pick = order.at(n);
    CHECK(pick.index < (pick.set == 0 ? 3 : 4));
    rounds[static_cast<std::size_t>(n / 7)].push_back({pick.set, pick.index});
    differs |= !(pick == other.at(n));
  }
  for (const auto& round : rounds)
    CHECK(std::set<std::pair<i64, i64>>(round.begin(), round.end()).size() == 7);
  CHECK(rounds[0] != rounds[1]);
  CHECK(differs);
  const auto late = again.at(20);  // without those before
  CHECK(std::pair(late.set, late.index) == rounds[2][6]);
}

TEST_CASE("balanced sets take turns") {
  SampleOrder order({2, 50}, 1, true);
  std::vector<int> seen(2);
  for (i64 n = 0; n < 40; ++n) {
    const auto pick = order.at(n);
    CHECK(pick.set == n % 2);
    if (pick.set == 0) ++seen[static_cast<std::size_t>(pick.index)];
  }
  CHECK(seen == std::vector<int>{10, 10});
}

TEST_CASE("batches come in order whatever the workers do, and errors reach the caller") {
  for (const int workers : {1, 4}) {
    Loader loader(
        [](i64 n, float* image, float* target) {
          std::this_thread::sleep_for(std::chrono::milliseconds((n * 7) % 5));
          image[0] = static_cast<float>(n);
          target[3] = static_cast<float>(-n);
        },
        3, 2, 5, workers);
    for (i64 b = 5; b < 12; ++b) {
      const Batch batch = loader.next();
      CHECK(batch.images.shape() == Shape{3, 2, 2, 3});
      for (i64 i = 0; i < 3; ++i) {
        CHECK(batch.images[i].data<float>()[0] == static_cast<float>(b * 3 + i));
        CHECK(batch.targets[i].data<float>()[3] == static_cast<float>(-b * 3 - i));
      }
    }
  }
  Loader failing([](i64 n, float*, float*) { require(n < 4, "sample ", n); }, 2, 2, 0, 2);
  const auto all = [&] {
    for (int i = 0; i < 3; ++i) failing.next();
  };
  CHECK(mentions(error_of(all), "sample "));
}

TEST_CASE("augmentation moves image and mask together, and is the random numbers' alone") {
  // The image's brightness is the mask, so wherever the mask went the image must have gone.
  const i64 h = 60, w = 90;
  Example e{empty({h, w, 3}, DType::u8), empty({h, w}, DType::u8)};
  for (i64 i = 0; i < h * w; ++i) {
    const bool inside = (i / w) > 10 && (i / w) < 30 && (i % w) > 50 && (i % w) < 80;
    e.mask.data<u8>()[i] = inside ? 255 : 0;
    for (i64 c = 0; c < 3; ++c) e.image.data<u8>()[3 * i + c] = inside ? 230 : 30;
  }
  Augmentation geometry;
  geometry.scale = 0.2, geometry.flip = 0.5, geometry.rotate = 0.5, geometry.crop = 0.5;
  std::set<std::vector<i64>> shapes;
  for (std::uint64_t n = 0; n < 40; ++n) {
    const Example a = augment(e, geometry, Random(3, n, 1)), b = augment(e, geometry, Random(3, n, 1));
    REQUIRE(a.image.shape() == Shape{a.mask.dim(0), a.mask.dim(1), 3});
    CHECK(a.image.values() == b.image.values());
    shapes.insert({a.mask.dim(0), a.mask.dim(1)});
    i64 wrong = 0;
    for (i64 i = 0; i < a.mask.numel(); ++i)
      wrong += std::abs(a.image.data<u8>()[3 * i] - 30 - a.mask.data<u8>()[i] * 200 / 255) > 3;
    CHECK(wrong == 0);
  }
  CHECK(shapes.size() > 10);

  // Flips and quarter turns reach all eight positions and change no pixel.
  std::set<std::vector<float>> positions;
  for (std::uint64_t n = 0; n < 80; ++n) {
    const Example turned = augment(e, Augmentation::flips(), Random(5, n, 1));
    auto values = turned.mask.values();
    CHECK(std::count(values.begin(), values.end(), 255.0f) == 19 * 29);
    values.push_back(static_cast<float>(turned.mask.dim(0)));
    positions.insert(values);
  }
  CHECK(positions.size() == 8);

  Augmentation forged;
  forged.copy_move = 1;
  const Example copied = augment(e, forged, Random(3, 0, 1));
  i64 more = 0;
  for (i64 i = 0; i < h * w; ++i) {
    CHECK(copied.mask.data<u8>()[i] >= e.mask.data<u8>()[i]);
    const bool marked = copied.mask.data<u8>()[i] != 0;
    if (!marked) CHECK(copied.image.data<u8>()[3 * i] == e.image.data<u8>()[3 * i]);
    more += copied.mask.data<u8>()[i] != e.mask.data<u8>()[i];
  }
  CHECK(more > 0);
  forged.copy_move = 0, forged.inpaint = 1;
  const Example filled = augment(e, forged, Random(4, 2, 1));
  for (i64 i = 0; i < h * w; ++i)
    if (!filled.mask.data<u8>()[i]) CHECK(filled.image.data<u8>()[3 * i] == e.image.data<u8>()[3 * i]);
  CHECK(filled.mask.values() != e.mask.values());
}

TEST_CASE("samples are made as the network will see them, soft masks as they are") {
  const TempFolder folder;
  write_training_set(folder.path, 2, 64);
  TrainingSet set = pair_folders(folder / "Tp", folder / "Gt", true);
  REQUIRE(set.data.samples.size() == 2);
  const Tensor half = full({64, 64}, 51, DType::u8);
  for (const Sample& s : set.data.samples) save_png(s.mask, half);
  TrainingData data({set}, {}, 1, false, 32);
  std::vector<float> image(32 * 32 * 3), target(32 * 32);
  data.make(0, image.data(), target.data());
  CHECK(target == std::vector<float>(32 * 32, 0.2f));
  SampleOrder order({2}, 1, false);
  const Tensor expected =
      student_input(load_image(set.data.samples[static_cast<std::size_t>(order.at(0).index)].image), 32);
  CHECK(image == expected.values());
  CHECK_FALSE(data.saw_manipulation());
  set.soft = false;  // 51 of 255 is below a half, so no pixel is manipulated
  TrainingData hard({set}, {}, 1, false, 32);
  hard.make(0, image.data(), target.data());
  CHECK(target == std::vector<float>(32 * 32, 0.0f));
  CHECK(mentions(error_of([&] { pair_folders(folder / "Tp", folder / "Tp", true); }), "has a mask in"));
}

TEST_CASE("the log is cut to the state, torn lines and all") {
  const TempFolder folder;
  std::string text;
  for (i64 i = 1; i <= 5; ++i) text += to_line(StepRecord{i, 0.5 / static_cast<double>(i), 1e-4, 2, 30});
  Validation v;
  v.step = 3, v.f1 = 0.25, v.best_f1 = 0.5, v.threshold = 0.1;
  text += to_line(v) + "{\"step\": 4, \"lo";
  const auto file = folder.write("train.jsonl", text);
  const TrainLog log = resume_log(file, 3);
  REQUIRE(log.steps.size() == 3);
  CHECK(log.steps[2].loss == 0.5 / 3);
  REQUIRE(log.validations.size() == 1);
  CHECK(log.validations[0].threshold == 0.1);
  CHECK_FALSE(log.validations[0].auc.has_value());
  CHECK(resume_log(file, 100).steps.size() == 3);
  const Tensor curves = draw_curves(log, 5);
  CHECK(curves.shape() == Shape{640, 1000, 3});
  CHECK(draw_curves({}, 0).shape() == curves.shape());
  CHECK(draw_curves({}, 5).values() != curves.values());
}
