// boxprompt model: what a network is made of and what it costs.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "apps/boxprompt/device_option.h"
#include "apps/iml/architectures.h"
#include "apps/iml/model_table.h"

namespace bp::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string name, device;
  i64 size = 0;
  bool no_gate = false, no_memory = false, json = false;
};

Json json_of(const Shape& shape) {
  return std::vector<i64>(shape.begin(), shape.end());
}

Json to_json(const ModelTable& table, const std::string& name) {
  Json layers = Json::array();
  for (const LayerRow& row : table.layers)
    layers.push_back({{"layer", row.layer},
                      {"op", row.op},
                      {"output", row.op.empty() ? Json() : json_of(row.output)},
                      {"parameters", row.parameters},
                      {"multiply_adds", row.multiply_adds}});
  return {{"architecture", name},
          {"input", json_of(table.input)},
          {"parameters", table.parameters},
          {"multiply_adds", table.multiply_adds},
          {"layers", layers}};
}

void print(const ModelTable& table, const std::string& name) {
  std::size_t width = 5;
  for (const LayerRow& row : table.layers) width = std::max(width, row.layer.size());
  const int w = static_cast<int>(width);
  std::printf("%-*s  %-16s  %-18s %12s %14s\n", w, "layer", "op", "output", "parameters", "multiply-adds");
  for (const LayerRow& row : table.layers)
    std::printf("%-*s  %-16s  %-18s %12lld %14lld\n", w, row.layer.c_str(), row.op.c_str(),
                row.op.empty() ? "" : text(row.output).c_str(), static_cast<long long>(row.parameters),
                static_cast<long long>(row.multiply_adds));
  std::printf("\n%s on %s: %.2f M parameters, %.3f G multiply-adds\n", name.c_str(),
              text(table.input).c_str(), static_cast<double>(table.parameters) / 1e6,
              static_cast<double>(table.multiply_adds) / 1e9);
}

void run_model(const Options& o) {
  Architecture architecture = architecture_named(o.name);
  if (o.no_gate || o.no_memory) {
    require(architecture.family == Architecture::Family::student, "model: ", o.name,
            " has neither gate nor memory");
    fusion::Parts parts = student_parts(architecture);
    parts = {.gate = parts.gate && !o.no_gate, .memory = parts.memory && !o.no_memory};
    architecture = student_architecture(parts);
  }
  const ModelTable table =
      model_table(architecture, o.size > 0 ? o.size : default_size(architecture), parse_device(o.device));
  if (o.json)
    std::cout << to_json(table, architecture.name()).dump(2) << '\n';
  else
    print(table, architecture.name());
  std::fflush(stdout);
}

}  // namespace

void add_model(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("model", "Show a network's layers, parameters and multiply-adds");
  command->add_option("NAME", o->name, "student, tiny_vit_5m, sam_vit_b, sam_vit_l or sam_vit_h")->required();
  command->add_option("--size", o->size, "Side of the input, a multiple of 32; default 224, of SAM 1024")
      ->check(CLI::Range(32, 4096));
  command->add_flag("--no-gate", o->no_gate, "The student without gates: a plain sum of its scales");
  command->add_flag("--no-memory", o->no_memory, "The student without its bank of prototypes");
  add_device_option(command, o->device);
  command->add_flag("--json", o->json, "Print one JSON object");
  command->footer(
      "The network runs once, and what its ops did is counted: multiply-adds of products, convolutions and\n"
      "attention for one image. Statistics are no parameters. Rows without a name are products of two "
      "results.\n"
      "Examples:\n"
      "  boxprompt model student\n"
      "  boxprompt model student --no-memory --size 448 --json");
  command->callback([o] { run_model(*o); });
}

}  // namespace bp::app
