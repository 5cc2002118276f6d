// What `model` says of the networks: counted as they run, against the published figures and counts by hand.
#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/iml/architectures.h"
#include "apps/iml/files.h"
#include "apps/iml/model_table.h"
#include "engine/ops.h"
#include "engine/trace.h"
#include "tests/errors.h"
#include "tests/temp_folder.h"

using namespace bp;

namespace {

const LayerRow& row(const ModelTable& table, const std::string& layer) {
  for (const LayerRow& r : table.layers)
    if (r.layer == layer) return r;
  FAIL("no layer " << layer);
  return table.layers[0];
}

void check_sums(const ModelTable& table) {
  i64 parameters = 0, multiply_adds = 0;
  for (const LayerRow& r : table.layers) parameters += r.parameters, multiply_adds += r.multiply_adds;
  CHECK(parameters == table.parameters);
  CHECK(multiply_adds == table.multiply_adds);
}

}  // namespace

TEST_CASE("every kind of product is counted by hand") {
  const auto traced = [](const auto& forward) {
    const Trace trace;
    forward();
    REQUIRE(trace.ops().size() == 1);
    return trace.ops()[0];
  };
  const Tensor map = zeros({2, 6, 8, 3});
  TracedOp op = traced([&] { conv2d(map, zeros({5, 3, 3, 3}), {}, 2, 1); });
  CHECK(op.output == Shape{2, 3, 4, 5});
  CHECK(op.multiply_adds == 2 * 3 * 4 * 5 * 27);
  const Tensor pointwise = zeros({5, 1, 1, 3});
  op = traced([&] { conv2d(map, pointwise, {}, 1, 0); });
  CHECK(op.multiply_adds == 2 * 6 * 8 * 5 * 3);
  CHECK(op.weights == std::vector<const void*>{pointwise.raw()});
  CHECK(traced([&] { depthwise(map, zeros({3, 3, 3}), {}, 2); }).multiply_adds == 2 * 3 * 4 * 3 * 9);
  CHECK(traced([&] { linear(map, zeros({7, 3})); }).multiply_adds == 2 * 6 * 8 * 7 * 3);
  CHECK(traced([&] { matmul(zeros({4, 2, 6}), zeros({4, 6, 3})); }).multiply_adds == 4 * 2 * 6 * 3);
  CHECK(traced([&] { matmul(zeros({4, 2, 6}), zeros({6, 3})); }).multiply_adds == 4 * 2 * 6 * 3);
  CHECK(traced([&] {
          attention(zeros({1, 5, 8}), zeros({1, 7, 8}), zeros({1, 7, 8}), 2, 1);
        }).multiply_adds == 2 * 5 * 7 * 8);
  op = traced([&] {
    window_attention(zeros({1, 6, 8, 12}), {.heads = 2, .window = 4}, zeros({12}), {}, {}, zeros({2, 16}));
  });
  CHECK(op.multiply_adds == 2 * 6 * 8 * 16 * 4);
  CHECK(op.weights.size() == 1);
  op = traced([&] {
    window_attention(zeros({1, 6, 8, 12}), {.heads = 2}, {}, zeros({11, 2}), zeros({15, 2}), {});
  });
  CHECK(op.multiply_adds == 6 * 8 * 4 * (2 * 48 + 6 + 8));
  CHECK(traced([&] { layer_norm(map, zeros({3}), zeros({3}), 1e-5f); }).multiply_adds == 0);
}

TEST_CASE("a trace ends with its life and there is one at a time") {
  { const Trace trace; }
  const Trace trace;
  CHECK(mentions(error_of([] { const Trace second; }), "one is running"));
  linear(zeros({2, 3}), zeros({4, 3}));
  CHECK(trace.ops().size() == 1);
}

TEST_CASE("the student has the published size and cost, part by part") {
  const ModelTable table = model_table(architecture_named("student"), 224);
  CHECK(std::fabs(static_cast<double>(table.parameters) - 5.5e6) < 1e5);
  CHECK(table.multiply_adds >= 1.4e9);
  CHECK(table.multiply_adds <= 1.5e9);
  check_sums(table);
  CHECK(row(table, "trunk.patch_embed.seq.0").multiply_adds == 112 * 112 * 32 * 27);
  CHECK(row(table, "trunk.patch_embed.seq.0").parameters == 32 * 27 + 64);
  CHECK(row(table, "trunk.layers.3.blocks.0.attn").op == "window_attention");
  CHECK(row(table, "trunk.layers.3.blocks.0.attn").multiply_adds == 49 * 49 * 2 * 320);
  CHECK(row(table, "trunk.layers.3.blocks.0.attn").parameters == 10 * 49);
  CHECK(row(table, "fusion.unify.3").output == Shape{1, 7, 7, 64});
  CHECK(row(table, "fusion.memory").parameters == 64 * 64 + 2);
  CHECK(row(table, "fusion.refine").multiply_adds == 56 * 56 * 65 * 9);

  const ModelTable no_gate = model_table(architecture_named("student_no_gate"), 224),
                   bare = model_table(architecture_named("student_no_gate_no_memory"), 224),
                   large = model_table(architecture_named("student"), 448);
  CHECK(table.parameters - no_gate.parameters == 4 * 65);
  CHECK(table.multiply_adds - no_gate.multiply_adds == 4 * 56 * 56 * 64);
  CHECK(bare.parameters < no_gate.parameters);
  check_sums(bare);
  CHECK(large.parameters == table.parameters);
  CHECK(large.multiply_adds == 4 * table.multiply_adds);
}

TEST_CASE("the trunk alone") {
  const ModelTable table = model_table(architecture_named("tiny_vit_5m"), 224);
  CHECK(table.parameters == 5071124);
  CHECK(std::fabs(static_cast<double>(table.multiply_adds) - 1.255e9) < 0.01e9);
  check_sums(table);
  CHECK(mentions(error_of([] { model_table(architecture_named("tiny_vit_5m"), 100); }), "input size 100"));
  CHECK(mentions(error_of([] { model_table(architecture_named("tiny_vit_5m"), 32); }), "64 or more"));
  CHECK(mentions(error_of([] { model_table(architecture_named("sam_vit_b"), 224); }), "1024"));
}

TEST_CASE("model as a user runs it") {
  const TempFolder temp;
  const auto run = [&](const std::string& arguments) {
    const auto out = temp / "out", error = temp / "error";
    const int status = std::system(
        (std::string(BOXPROMPT_BINARY) + " model " + arguments + " >" + out.string() + " 2>" + error.string())
            .c_str());
    return std::tuple(WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(error));
  };
  const auto [code, out, error] = run("student --json --no-memory");
  CHECK(code == 0);
  const auto report = nlohmann::json::parse(out);
  CHECK(report["architecture"] == "student_no_memory");
  CHECK(report["input"] == nlohmann::json{1, 224, 224, 3});
  CHECK(report["parameters"] == model_table(architecture_named("student_no_memory"), 224).parameters);
  CHECK(report["layers"][0]["layer"] == "trunk.patch_embed.seq.0");
  CHECK(mentions(std::get<1>(run("student --size 64")), "student on [1,64,64,3]: 5.45 M parameters"));
  CHECK(std::get<0>(run("student --size 100")) == 1);
  CHECK(std::get<0>(run("tiny_vit_5m --no-gate")) == 1);
  CHECK(mentions(std::get<2>(run("resnet")), "unknown architecture 'resnet'; known are"));
}
