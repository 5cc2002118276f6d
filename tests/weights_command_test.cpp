#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/boxprompt/cli.h"
#include "apps/iml/architectures.h"
#include "apps/iml/student_file.h"
#include "tests/weights_common.h"
#include "weights/load.h"
#include "weights/safetensors.h"

using namespace bp;
using namespace weights_test;

namespace {

struct Outcome {
  std::string out, error;
};

// `boxprompt <arguments>`, in this process.
Outcome run(std::vector<std::string> arguments) {
  std::ostringstream out;
  std::streambuf* const before = std::cout.rdbuf(out.rdbuf());
  CLI::App app;
  bp::app::add_weights(app);
  std::reverse(arguments.begin(), arguments.end());
  const std::string error = error_of([&] { app.parse(arguments); });
  std::cout.rdbuf(before);
  return {out.str(), error};
}

const std::string kNoError = "no error";

}  // namespace

TEST_CASE("a student that is converted still says its input size and threshold") {
  const Folder folder;
  const std::string made = folder / "made", half = folder / "half";
  student::Student net;
  student::initialise(net.params(), 1);
  auto metadata = student_metadata({.size = 320, .threshold = 0.25});
  metadata["step"] = "12";
  save(net.params(), made, DType::f32, metadata);
  CHECK(run({"weights", "convert", made, half, "--dtype", "bf16"}).error == kNoError);
  const StudentConfig config = load_student(half).config;
  CHECK(config.size == 320);
  CHECK(config.threshold == 0.25);
  CHECK(open_archive(half).metadata().at("step") == "12");
}

TEST_CASE("weights make, inspect and convert a trunk") {
  const Folder folder;
  const std::string made = folder / "made", half = folder / "half", back = folder / "back";
  CHECK(run({"weights", "make", "tiny_vit_5m", made}).error == kNoError);

  const Outcome table = run({"weights", "inspect", made});
  CHECK(table.error == kNoError);
  CHECK_CONTAINS(table.out, "patch_embed.seq.0.c.weight");
  CHECK_CONTAINS(table.out, "[32,3,3,3]");
  CHECK_CONTAINS(table.out, "architecture  tiny_vit_5m, 5071124 parameters\n");
  CHECK_CONTAINS(table.out, "missing       none");

  CHECK(run({"weights", "convert", made, half, "--dtype", "bf16"}).error == kNoError);
  CHECK(std::filesystem::file_size(half) < std::filesystem::file_size(made) * 6 / 10);
  CHECK(open_archive(half).at("patch_embed.seq.0.c.weight").dtype == FileDType::BF16);
  CHECK(run({"weights", "convert", half, back}).error == kNoError);
  CHECK(open_archive(back).tensor("patch_embed.seq.0.c.weight").values() ==
        open_archive(half).tensor("patch_embed.seq.0.c.weight").values());
  // In place of its own input.
  CHECK(run({"weights", "convert", half, half}).error == kNoError);
  CHECK(read_bytes(half) == read_bytes(back));

  CHECK(run({"weights", "make", "tiny_vit_5m", back, "--salt", "other"}).error == kNoError);
  CHECK(open_archive(back).metadata().at("salt") == "other");
  CHECK(open_archive(back).tensor("patch_embed.seq.0.c.weight").values() !=
        open_archive(made).tensor("patch_embed.seq.0.c.weight").values());
}

TEST_CASE("weights inspect says what is missing, wrong, left over and unused") {
  const Folder folder;
  const Params params = published_params({Architecture::Family::tiny_vit, "5m"});
  std::vector<PlannedTensor> plan;
  for (const Param& p : params) plan.push_back({"module." + p.name, FileDType::F32, p.shape});
  plan.erase(plan.begin() + 3);
  plan[10].shape = {1};
  plan.push_back({"module.extra\x1b[31m", FileDType::F32, {2}});
  plan.push_back({"module.head.bias", FileDType::F32, {1000}});
  const std::string path = folder / "x";
  write_safetensors(path, plan, {}, [&](std::size_t i) { return zeros(plan[i].shape); });

  const std::string name = params[11].name, missing = params[3].name;
  const Outcome table = run({"weights", "inspect", path});
  CHECK_CONTAINS(table.error,
                 "incomplete tiny_vit_5m: 1 missing: " + missing + "; 1 of wrong shape: " + name + " [1]");
  CHECK_CONTAINS(table.out, "missing       1\n  " + missing + "\n");
  CHECK_CONTAINS(table.out, "wrong shape   1\n  " + name + " [1], wanted ");
  CHECK_CONTAINS(table.out, "left over     1\n  extra?[31m\n");
  CHECK_CONTAINS(table.out, "unused here   1\n  module.head.bias\n");
  CHECK_CONTAINS(table.out, "-> " + params[0].name + "\n");
  CHECK_FALSE(contains(table.out, "\x1b"));

  const Outcome json = run({"weights", "inspect", path, "--json"});
  CHECK_CONTAINS(json.error, "incomplete");
  const auto report = nlohmann::json::parse(json.out);
  CHECK(report["architecture"] == "tiny_vit_5m");
  CHECK(report["complete"] == false);
  CHECK(report["missing"] == nlohmann::json{missing});
  CHECK(report["wrong_shape"][0]["found"] == nlohmann::json{1});
  CHECK(report["left_over"][0] == "extra\x1b[31m");
  CHECK(report["tensors"].size() == plan.size());
  CHECK(report["tensors"][0]["published"] == params[0].name);

  CHECK_CONTAINS(run({"weights", "convert", path, folder / "y"}).error, "1 missing: " + missing);
  CHECK(folder.files() == 1);
}

TEST_CASE("weights refuses what it does not know") {
  const Folder folder;
  const Outcome other = run({"weights", "inspect", fixture("nested.pth")});
  CHECK_CONTAINS(other.out, "0.weight");
  CHECK_CONTAINS(other.out, "not recognised");
  CHECK_CONTAINS(other.error, "architecture not recognised");
  CHECK_CONTAINS(run({"weights", "convert", fixture("nested.pth"), folder / "y"}).error, "not recognised");
  CHECK_CONTAINS(run({"weights", "make", "sam_vit_x", folder / "y"}).error, "known are sam_vit_b");
  CHECK(folder.files() == 0);
}
