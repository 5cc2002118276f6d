// Whole networks on other devices: on walled memory (walled_backend.h), whose kernels are the processor's,
// all must come out to the same bits; on the emulator, up to rounding.
#include <doctest/doctest.h>

#include <cmath>
#include <thread>

#include "apps/iml/localizer.h"
#include "apps/iml/train.h"
#include "apps/iml/train_log.h"
#include "engine/trace.h"
#include "nets/sam/predictor.h"
#include "tests/training_case.h"
#include "tests/walled_case.h"
#include "weights/load.h"
#include "weights/procedural.h"

using namespace bp;
using namespace bp::testing;

namespace {

constexpr Device kSimt{Device::Type::simt};

TrainOptions options_of(const fs::path& out, Device device, bool graph) {
  TrainOptions o;
  o.out = out;
  o.size = 64, o.batch = 4, o.epochs = 3, o.lr = 1e-3, o.warmup_epochs = 0.5;
  o.adamw.average = 0.9;
  o.device = device;
  o.graph = graph;
  return o;
}

TrainReport run(const fs::path& root, const TrainOptions& o, const std::function<bool()>& stop = {}) {
  std::vector<TrainingSet> sets;
  for (Dataset& d : open_datasets(root)) sets.push_back({std::move(d), false});
  return train(std::move(sets), open_datasets(root), o, stop);
}

bool same_run(const fs::path& a, const fs::path& b) {
  return read_file(a / "last.safetensors") == read_file(b / "last.safetensors") &&
         read_file(a / "best.safetensors") == read_file(b / "best.safetensors");
}

student::Student new_student() {
  student::Student net;
  student::initialise(net.params(), 5);
  return net;
}

}  // namespace

TEST_CASE(
    "training on a device, eager or in graphs, with validations between, gives the processor's weights") {
  const Walled walled;
  const TempFolder folder;
  write_training_set(folder.path, 16, 64);
  const auto trained = [&](const std::string& name, Device device, bool graph) {
    TrainOptions o = options_of(folder / name, device, graph);
    o.accumulate = 2, o.dice = 0.5, o.validate_every = 3;
    CHECK(run(folder.path, o).steps == 6);
    return folder / name;
  };
  const fs::path cpu = trained("cpu", kHost, false);
  CHECK(same_run(trained("eager", kWalled, false), cpu));
  CHECK(same_run(trained("graph", kWalled, true), cpu));
  const TrainLog log = resume_log(folder / "graph/train.jsonl", 6);
  REQUIRE(log.steps.size() == 6);
  CHECK(log.steps[5].device == "cuda:0");
}

TEST_CASE("a run goes on on another device") {
  const Walled walled;
  const TempFolder folder;
  write_training_set(folder.path, 16, 64);
  run(folder.path, options_of(folder / "whole", kHost, false));
  int asked = 0;
  run(folder.path, options_of(folder / "parts", kWalled, true), [&] { return asked++ == 5; });
  TrainOptions rest = options_of(folder / "parts", kHost, false);
  rest.resume = true;
  CHECK(run(folder.path, rest).steps == 12);
  CHECK(same_run(folder / "whole", folder / "parts"));
  const TrainLog log = resume_log(folder / "parts/train.jsonl", 12);
  CHECK(log.steps[4].device == "cuda:0");
  CHECK(log.steps[5].device == "cpu");
}

TEST_CASE("a frozen trunk is folded anew after each validation, and graphs know") {
  const Walled walled;
  const TempFolder folder;
  write_training_set(folder.path, 8, 64);
  for (const Device device : {kHost, kWalled}) {
    TrainOptions o = options_of(folder / text(device), device, device != kHost);
    o.freeze_trunk = true, o.validate_every = 2;
    run(folder.path, o);
  }
  CHECK(same_run(folder / text(kHost), folder / text(kWalled)));
}

TEST_CASE("where a batch does not fit, training says which one does, and that one does") {
  const Walled walled;
  const TempFolder folder;
  write_training_set(folder.path, 16, 64);
  TrainOptions o = options_of(folder / "run", kWalled, false);
  o.epochs = 1, o.batch = 16, o.validate_every = 1000;
  // The weights with their moments and averages, and what is left for gradients and activations.
  const auto leave = [](std::size_t megabytes) {
    i64 values = 0;
    student::Student net = new_student();
    for (const Param& p : net.params()) values += p.shape.numel();
    release_cached(kWalled);
    set_walled_memory(static_cast<std::size_t>(values) * 16 + (megabytes << 20));
  };
  leave(90);
  std::string message;
  try {
    run(folder.path, o);
  } catch (const Error& e) {
    message = e.what();
  }
  CAPTURE(message);
  CHECK(message.find("out of memory on cuda:0: asked for ") == 0);
  const std::string asks = "; --batch ";
  const std::size_t at = message.find(asks);
  REQUIRE(at != std::string::npos);
  o.batch = std::stoi(message.substr(at + asks.size()));
  CHECK(o.batch < 16);
  CHECK(o.batch >= 1);
  o.out = folder / "smaller";
  CHECK(run(folder.path, o).steps == 16 / o.batch);
  leave(10);
  o.out = folder / "none";
  CHECK_THROWS_WITH_AS(run(folder.path, o), doctest::Contains("not even --batch 1 would fit at --size 64"),
                       Error);
  set_walled_memory(std::size_t{4} << 30);
}

TEST_CASE("where too many images are asked for at once, the student says how many fit, and they do") {
  const Walled walled;
  const TempFolder folder;
  write_training_set(folder.path, 1, 64);
  const Localizer localizer(new_student(), {.size = 64}, kWalled);
  const std::vector<Tensor> images(64, load_image(folder / "Tp/0.png"));
  release_cached(kWalled);
  set_walled_memory(memory_stats(kWalled).live + (std::size_t{12} << 20));
  std::string message;
  try {
    localizer.squeezed(images);
  } catch (const Error& e) {
    message = e.what();
  }
  CAPTURE(message);
  const std::string asks = "; --batch ";
  const std::size_t at = message.find(asks);
  REQUIRE(at != std::string::npos);
  const int fits = std::stoi(message.substr(at + asks.size()));
  CHECK(fits < 64);
  CHECK(fits >= 2);
  CHECK(localizer.squeezed(std::span(images).first(static_cast<std::size_t>(fits))).dim(0) == fits);
  set_walled_memory(std::size_t{4} << 30);
}

TEST_CASE("the student finds the same on a device, asked by several threads at once") {
  const Walled walled;
  const StudentConfig config{.size = 64};
  const Localizer here(new_student(), config), there(new_student(), config, kWalled);
  const TempFolder folder;
  write_training_set(folder.path, 2, 80);
  const Tensor image = load_image(folder / "Tp/0.png"), other = load_image(folder / "Tp/1.png");
  const std::vector<float> wanted = here.map(image).values(), wanted_other = here.map(other).values();
  bool same = true;
  std::thread second([&] {
    for (int i = 0; i < 3; ++i) same = same && there.map(other).values() == wanted_other;
  });
  for (int i = 0; i < 3; ++i) CHECK(there.map(image).values() == wanted);
  second.join();
  CHECK(same);
}

TEST_CASE("the teacher answers the same on a device, to boxes, points and masks of its own") {
  const Walled walled;
  const TempFolder folder;
  write_training_set(folder.path, 1, 64);
  const Tensor image = load_image(folder / "Tp/0.png");
  const auto answers = [&](Device device) {
    sam::Sam net("vit_t");
    load(net.params(), ProceduralSource(""));
    net.prepare(device);
    sam::Predictor predictor(net);
    predictor.set_image(image);
    CHECK(predictor.embedding().device() == device);
    sam::Query query;
    query.boxes = {{10, 12, 40, 50}, {1, 2, 60, 63}};
    query.points = {{{20, 20, true}}, {{5, 5, false}}};
    sam::Masks masks = predictor.predict(query);
    query.mask = masks.logits.reshape({2, 256, 256});
    masks = predictor.predict(query);
    std::vector<float> all = predictor.at_original_size(masks.logits[1][0]).values();
    for (const float v : masks.iou.values()) all.push_back(v);
    for (const float v : masks.logits.values()) all.push_back(v);
    all.push_back(static_cast<float>(sam::stability_score(masks.logits[0][0])));
    return all;
  };
  // Devices keep the mask decoder's published order; the processor does while it is traced.
  const auto wanted = [&] {
    const Trace published_order;
    return answers(kHost);
  }();
  CHECK(answers(kWalled) == wanted);
}

TEST_CASE("a training step of the student runs on CUDA's kernels in the emulator") {
  const auto steps = [](Device device) {
    student::Student net = new_student();
    const Params params = net.params();
    to_device(params, device);
    net.train();
    require_grad(params);
    AdamW adamw(params, [](const Param&) { return Group{}; }, {.clip = 1});
    std::vector<float> seen;
    for (int i = 0; i < 2; ++i) {
      const Tensor images = from_values({2, 32, 32, 3}, wave(6144, 0.37), DType::f32, device);
      const Tensor targets = sigmoid(from_values({2, 32, 32, 1}, wave(2048, 0.11), DType::f32, device));
      const Tensor loss = bce_with_logits(net(images), targets);
      backward(loss);
      seen.push_back(static_cast<float>(adamw.step(1e-4)));
      seen.push_back(loss.item());
    }
    return seen;
  };
  const std::vector<float> cpu = steps(kHost), simt = steps(kSimt);
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    CAPTURE(i);
    // Adam's first step is one of signs, which rounding turns where a gradient is near 0.
    CHECK(simt[i] == doctest::Approx(cpu[i]).epsilon(i < 2 ? 1e-4 : 2e-2));
  }
}
