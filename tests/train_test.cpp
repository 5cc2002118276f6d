// Training as a whole: that it learns, that it can be broken off at any moment, and what it says to bad
// input.
#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>
#include <csignal>
#include <cstdlib>

#include "apps/iml/evaluate.h"
#include "apps/iml/localizer.h"
#include "apps/iml/train.h"
#include "apps/iml/train_log.h"
#include "kernels/threads.h"
#include "tests/errors.h"
#include "tests/training_case.h"
#include "weights/archive.h"
#include "weights/load.h"

using namespace bp;

namespace {

TrainOptions options_of(const fs::path& out) {
  TrainOptions o;
  o.out = out;
  o.size = 64, o.batch = 4, o.epochs = 4, o.lr = 1e-3, o.warmup_epochs = 0.5;
  o.augmentation = Augmentation::published();
  o.adamw.average = 0.9;
  o.workers = 2;
  return o;
}

std::vector<TrainingSet> sets_of(const fs::path& root) {
  std::vector<TrainingSet> sets;
  for (Dataset& d : open_datasets(root)) sets.push_back({std::move(d), false});
  return sets;
}

TrainReport run(const fs::path& root, const TrainOptions& o, const std::function<bool()>& stop = {}) {
  return train(sets_of(root), open_datasets(root), o, stop);
}

bool same_file(const fs::path& a, const fs::path& b) {
  return read_file(a) == read_file(b);
}

}  // namespace

TEST_CASE("a student overfits 16 images") {
  const TempFolder folder;
  write_training_set(folder.path, 16, 64);
  TrainOptions o = options_of(folder / "run");
  o.augmentation = {};
  o.batch = 8, o.epochs = 60, o.lr = 2e-3, o.warmup_epochs = 4, o.validate_every = 60;
  const TrainReport r = run(folder.path, o);
  CHECK(r.steps == 120);
  CHECK(r.parameters > 5'400'000);
  REQUIRE(r.best.has_value());
  CHECK(r.best->best_f1 > 0.95);

  // What was written is that student, calibrated: its F1 at 0.5 is the best one.
  const Localizer localizer(folder / "run/best.safetensors");
  CHECK(localizer.config().size == 64);
  const Dataset set = open_datasets(folder.path)[0];
  const SetScores s = evaluate(set,
                               [&](std::size_t i) {
                                 const Tensor image = load_image(set.samples[i].image);
                                 return localizer.squeezed({&image, 1})[0];
                               },
                               {});
  CHECK(s.f1 == doctest::Approx(r.best->best_f1).epsilon(0.005));
  const TrainLog log = resume_log(folder / "run/train.jsonl", 120);
  CHECK(log.steps.size() == 120);
  CHECK(log.validations.size() == 2);
  CHECK(log.steps.back().loss < 0.2 * log.steps.front().loss);
  CHECK(load_image(folder / "run/curve.png").dim(1) == 1000);
}

TEST_CASE("interrupted runs, and other numbers of threads, give the same weights bit for bit") {
  const TempFolder folder;
  write_training_set(folder.path, 10, 48);
  TrainOptions o = options_of(folder / "whole");
  o.accumulate = 2, o.dice = 0.5, o.balanced = true, o.augmentation.crop = 0.5;
  o.validate_every = 2;
  const TrainReport whole = run(folder.path, o);
  CHECK(whole.steps == 4);
  CHECK_FALSE(whole.interrupted);

  o.out = folder / "parts";
  set_threads(1);
  o.workers = 3;
  for (int part = 0;; ++part) {
    REQUIRE(part < 6);
    int asked = 0;
    const TrainReport r = run(folder.path, o, [&] { return asked++ == 1; });
    if (!r.interrupted) break;
    CHECK(r.steps == part + 1);
    o.resume = true;
  }
  set_threads(0);
  CHECK(same_file(folder / "whole/last.safetensors", folder / "parts/last.safetensors"));
  CHECK(same_file(folder / "whole/best.safetensors", folder / "parts/best.safetensors"));
  const TrainLog a = resume_log(folder / "whole/train.jsonl", 4),
                 b = resume_log(folder / "parts/train.jsonl", 4);
  REQUIRE(a.steps.size() == 4);
  REQUIRE(b.steps.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(a.steps[i].loss == b.steps[i].loss);
    CHECK(a.steps[i].gradient_norm == b.steps[i].gradient_norm);
  }

  TrainOptions other = options_of(folder / "seed");
  other.accumulate = 2, other.dice = 0.5, other.balanced = true, other.validate_every = 2, other.seed = 2;
  run(folder.path, other);
  CHECK_FALSE(same_file(folder / "whole/best.safetensors", folder / "seed/best.safetensors"));
}

TEST_CASE("training in bf16 follows that in f32, keeps f32 masters, and goes on bit for bit") {
  const TempFolder folder;
  write_training_set(folder.path, 8, 64);
  TrainOptions o = options_of(folder / "f32");
  o.augmentation = {};
  o.epochs = 6, o.lr = 3e-4, o.validate_every = 12;
  run(folder.path, o);
  o.out = folder / "bf16", o.dtype = DType::bf16;
  run(folder.path, o);
  const TrainLog a = resume_log(folder / "f32/train.jsonl", 12),
                 b = resume_log(folder / "bf16/train.jsonl", 12);
  REQUIRE(b.steps.size() == 12);
  for (std::size_t i = 0; i < 12; ++i)
    CHECK(b.steps[i].loss == doctest::Approx(a.steps[i].loss).epsilon(0.05));
  CHECK(b.steps.back().loss < 0.8 * b.steps.front().loss);

  o.out = folder / "parts";
  int asked = 0;
  CHECK(run(folder.path, o, [&] { return asked++ == 7; }).interrupted);
  o.resume = true;
  run(folder.path, o);
  CHECK(same_file(folder / "bf16/last.safetensors", folder / "parts/last.safetensors"));

  // Steps that are too small for bf16 are kept in the masters, which began as what the file said.
  const Archive state = open_archive(folder / "bf16/last.safetensors");
  REQUIRE(state.find("adamw.master.trunk.layers.1.blocks.0.attn.qkv.weight") != nullptr);
  CHECK(state.find("adamw.master.trunk.layers.1.blocks.0.attn.norm.weight") == nullptr);
  const auto master = state.tensor("adamw.master.trunk.layers.1.blocks.0.attn.qkv.weight").values();
  std::size_t finer = 0;
  for (const float v : master) finer += to_f32(to_bf16(v)) != v;
  CHECK(finer > master.size() / 2);
  o.dtype = DType::f32;
  CHECK(mentions(error_of([&] { run(folder.path, o); }), "dtype"));
}

TEST_CASE("killed with -9 at any moment, the same command with --resume ends in the same weights") {
  const TempFolder folder;
  write_training_set(folder.path, 8, 48);
  const auto command = [&](const std::string& out, const std::string& more, const std::string& before) {
    const std::string line = before + std::string(BOXPROMPT_BINARY) + " train " + folder.path.string() +
                             " --size 64 --batch 4 --epochs 6 --warmup 1 --save-every 0 -o " +
                             (folder / out).string() + " " + more + " >/dev/null 2>&1";
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  REQUIRE(command("whole", "", "") == 0);
  int kills = 0;
  while (kills < 200) {
    const double seconds = 0.2 + 0.05 * kills;
    const int code =
        command("killed", kills ? "--resume" : "", "timeout -s KILL " + std::to_string(seconds) + " ");
    if (code == 0) break;
    ++kills;
  }
  CHECK(kills > 0);
  CHECK(same_file(folder / "whole/last.safetensors", folder / "killed/last.safetensors"));
  CHECK(same_file(folder / "whole/best.safetensors", folder / "killed/best.safetensors"));
  CHECK(resume_log(folder / "killed/train.jsonl", 12).steps.size() == 12);
}

TEST_CASE("a frozen trunk stays as it is, statistics included, and a decayed one learns less at its start") {
  const TempFolder folder;
  write_training_set(folder.path, 4, 48);
  student::Student net;
  const Params params = net.params();
  student::initialise(params, 4);
  save(params, (folder / "start.safetensors").string(), DType::f32, student_metadata({.size = 64}));
  TrainOptions o = options_of(folder / "run");
  o.weights = folder / "start.safetensors";
  o.epochs = 2, o.adamw.average = 0, o.freeze_trunk = true;
  train(sets_of(folder.path), {}, o);
  LoadedStudent after = load_student(folder / "run/best.safetensors");
  const Params learned = after.net.params();
  for (std::size_t i = 0; i < params.size(); ++i) {
    CAPTURE(params[i].name);
    const bool same = params[i].tensor->values() == learned[i].tensor->values();
    if (params[i].name.rfind("trunk.", 0) == 0) CHECK(same);
    if (params[i].name == "fusion.refine.weight") CHECK_FALSE(same);
  }
  CHECK(trunk_lr_scale("trunk.patch_embed.seq.0.c.weight", 0.5) == doctest::Approx(std::pow(0.5, 11)));
  CHECK(trunk_lr_scale("trunk.layers.0.blocks.1.conv1.c.weight", 0.5) == doctest::Approx(std::pow(0.5, 10)));
  CHECK(trunk_lr_scale("trunk.layers.0.downsample.conv1.c.weight", 0.5) ==
        doctest::Approx(std::pow(0.5, 10)));
  CHECK(trunk_lr_scale("trunk.layers.2.blocks.3.mlp.fc1.weight", 0.5) == doctest::Approx(std::pow(0.5, 4)));
  CHECK(trunk_lr_scale("trunk.layers.3.blocks.1.mlp.fc1.weight", 0.5) == 1);
  CHECK(trunk_lr_scale("fusion.refine.weight", 0.5) == 1);
}

TEST_CASE("an unreadable image in the middle of an epoch is skipped, counted and told") {
  const TempFolder folder;
  write_training_set(folder.path, 8, 48);
  folder.write("Tp/3.png", "no image");
  folder.write("Gt/5.png", read_file(folder / "Gt/6.png").substr(0, 60));
  TrainOptions o = options_of(folder / "run");
  const auto sets = sets_of(folder.path);
  const TrainReport r = train(sets, {}, o);
  CHECK(r.steps == 8);
  REQUIRE(r.skipped.size() == 2);
  CHECK(mentions(r.skipped[0], "3.png"));
  CHECK(mentions(r.skipped[1], "5.png"));
  for (int i = 0; i < 8; ++i) folder.write("Tp/" + std::to_string(i) + ".png", "no image");
  o.out = folder / "none";
  CHECK(mentions(error_of([&] { train(sets, {}, o); }), "not one of the 8 samples"));
}

TEST_CASE("what cannot be trained is refused in one line") {
  const TempFolder folder;
  write_training_set(folder.path, 4, 48);
  TrainOptions o = options_of(folder / "run");
  o.epochs = 1;
  SUBCASE("nothing to learn") {
    CHECK(mentions(error_of([&] { train({}, {}, o); }), "no data set"));
    CHECK(mentions(error_of([&] { train({{{"empty", "", {}, {}}, false}}, {}, o); }), "without samples"));
  }
  SUBCASE("masks all black") {
    for (int i = 0; i < 4; ++i)
      save_png(folder / ("Gt/" + std::to_string(i) + ".png"), zeros({48, 48}, DType::u8));
    CHECK(mentions(error_of([&] { train(sets_of(folder.path), {}, o); }), "no mask so far holds"));
  }
  SUBCASE("masks of another size are skipped as unreadable") {
    for (int i = 0; i < 4; ++i)
      save_png(folder / ("Gt/" + std::to_string(i) + ".png"), full({20, 48}, 255, DType::u8));
    CHECK(mentions(error_of([&] { train(sets_of(folder.path), {}, o); }), "but the image is 48x48"));
  }
  SUBCASE("a weight that is not a number") {
    student::Student net;
    student::initialise(net.params(), 4);
    net.trunk.stages[1][2].fc1.weight.data<float>()[7] = NAN;
    save(net.params(), (folder / "nan.safetensors").string(), DType::f32, student_metadata({.size = 64}));
    o.weights = folder / "nan.safetensors";
    const std::string error = error_of([&] { run(folder.path, o); });
    CHECK(mentions(error, "trunk.layers.2.blocks.2.mlp.fc1.weight"));
    CHECK(mentions(error, "step 1"));
    CHECK_FALSE(fs::exists(folder / "run/best.safetensors"));
  }
  SUBCASE("a checkpoint of another architecture") {
    REQUIRE(std::system((std::string(BOXPROMPT_BINARY) + " weights make tiny_vit_5m " +
                         (folder / "trunk.safetensors").string() + " >/dev/null")
                            .c_str()) == 0);
    o.weights = folder / "trunk.safetensors";
    CHECK(mentions(error_of([&] { run(folder.path, o); }), "trunk.safetensors"));
    o.weights.clear();
    o.trunk = folder / "Tp/1.png";
    CHECK(mentions(error_of([&] { run(folder.path, o); }), "1.png"));
  }
  SUBCASE("a folder that holds another run") {
    run(folder.path, o);
    CHECK(mentions(error_of([&] { run(folder.path, o); }), "--resume goes on"));
    o.resume = true;
    o.lr = 5e-4;
    CHECK(mentions(error_of([&] { run(folder.path, o); }), "was made with lr"));
    o.resume = false, o.force = true;
    const std::string kept = read_file(folder / "run/best.safetensors");
    TrainOptions wrong = o;
    wrong.size = 100;
    CHECK(mentions(error_of([&] { run(folder.path, wrong); }), "multiple of 32"));
    CHECK(read_file(folder / "run/best.safetensors") == kept);
    run(folder.path, o);
    CHECK(read_file(folder / "run/best.safetensors") != kept);
    o.resume = true, o.force = false;
    const std::string state = read_file(folder / "run/last.safetensors");
    folder.write("run/last.safetensors", state.substr(0, state.size() / 2));
    CHECK(mentions(error_of([&] { run(folder.path, o); }), "last.safetensors"));
  }
  SUBCASE("a full disk: the old state survives, and the run goes on from it later") {
    o.epochs = 2;
    run(folder.path, o);
    o.out = folder / "full";
    int asked = 0;
    CHECK(run(folder.path, o, [&] { return asked++ == 1; }).interrupted);
    const std::string before = read_file(folder / "full/last.safetensors");
    o.resume = true;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    const rlimit small{2'000'000, limit.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string error = error_of([&] { run(folder.path, o); });
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, handler);
    CHECK(mentions(error, ".safetensors"));
    CHECK(read_file(folder / "full/last.safetensors") == before);
    run(folder.path, o);
    CHECK(same_file(folder / "run/last.safetensors", folder / "full/last.safetensors"));
  }
}
