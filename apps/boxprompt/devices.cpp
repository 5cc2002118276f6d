// boxprompt devices: what the networks will run on.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "engine/device.h"

namespace bp::app {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& w : words) line += (line.empty() ? "" : " ") + w;
  return line;
}

void devices(bool json) {
  const CpuInfo cpu = cpu_info();
  if (json) {
    const nlohmann::ordered_json report{{"cpu",
                                         {{"model", cpu.model},
                                          {"threads", cpu.threads},
                                          {"kernels", cpu.level},
                                          {"available", cpu.levels},
                                          {"features", cpu.features}}},
                                        {"gpus", nlohmann::ordered_json::array()}};
    std::cout << report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    return;
  }
  std::cout << "cpu   " << (cpu.model.empty() ? "unknown model" : cpu.model) << '\n'
            << "      threads    " << cpu.threads << '\n'
            << "      kernels    " << cpu.level << " (available: " << joined(cpu.levels) << ")\n"
            << "      features   " << joined(cpu.features) << '\n'
            << "gpu   none: this build has no CUDA backend\n";
}

}  // namespace

void add_devices(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("devices", "Show the processor, the kernels in use, and GPUs");
  command->add_flag("--json", *json, "Print one JSON object");
  command->footer(
      "The environment variable BOXPROMPT_CPU asks for a lower level of kernels, as in\n"
      "  BOXPROMPT_CPU=avx2 boxprompt devices");
  command->callback([json] { devices(*json); });
}

}  // namespace bp::app
