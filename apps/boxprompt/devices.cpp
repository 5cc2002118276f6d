// boxprompt devices: what the networks will run on.
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "apps/iml/files.h"
#include "engine/device.h"
#include "engine/error.h"

namespace bp::app {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& w : words) line += (line.empty() ? "" : " ") + w;
  return line;
}

// As CUDA counts: 13000 is 13.0.
std::string version(int number) {
  return text(number / 1000, ".", number % 1000 / 10);
}

nlohmann::ordered_json to_json(Device device) {
  const k::DeviceInfo d = device_info(device);
  nlohmann::ordered_json j{{"device", text(device)},
                           {"name", d.name},
                           {"memory", d.memory},
                           {"multiprocessors", d.multiprocessors}};
  if (device.type != Device::Type::cuda) return j;
  j["compute"] = text(d.compute_major, ".", d.compute_minor);
  j["driver"] = version(d.driver);
  j["runtime"] = version(d.runtime);
  return j;
}

void print(Device device) {
  const k::DeviceInfo d = device_info(device);
  std::cout << std::left << std::setw(8) << text(device) << d.name << '\n';
  if (device.type != Device::Type::cuda) return;
  std::cout << "        memory     " << std::fixed << std::setprecision(1)
            << static_cast<double>(d.memory) / (1 << 30) << " GiB\n"
            << "        compute    " << d.compute_major << '.' << d.compute_minor << ", " << d.multiprocessors
            << " multiprocessors\n"
            << "        CUDA       driver " << version(d.driver) << ", runtime " << version(d.runtime)
            << '\n';
}

void show(bool json) {
  const CpuInfo cpu = cpu_info();
  std::vector<Device> others = devices();
  std::erase(others, Device{});
  if (json) {
    nlohmann::ordered_json report{{"cpu",
                                   {{"model", cpu.model},
                                    {"threads", cpu.threads},
                                    {"kernels", cpu.level},
                                    {"available", cpu.levels},
                                    {"features", cpu.features}}},
                                  {"devices", nlohmann::ordered_json::array()},
                                  {"why_no_cuda", why_no_cuda()}};
    for (const Device d : others) report["devices"].push_back(to_json(d));
    std::cout << report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    return;
  }
  std::cout << "cpu     " << (cpu.model.empty() ? "unknown model" : cpu.model) << '\n'
            << "        threads    " << cpu.threads << '\n'
            << "        kernels    " << cpu.level << " (available: " << joined(cpu.levels) << ")\n"
            << "        features   " << joined(cpu.features) << '\n';
  if (const std::string why = why_no_cuda(); !why.empty())
    std::cout << "cuda    none: " << one_line(why) << '\n';
  for (const Device d : others) print(d);
}

}  // namespace

void add_devices(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("devices", "Show the processor, the kernels in use, GPUs, or why none is used");
  command->add_flag("--json", *json, "Print one JSON object");
  command->footer(
      "The environment variable BOXPROMPT_CPU asks for a lower level of kernels, as in\n"
      "  BOXPROMPT_CPU=avx2 boxprompt devices\n"
      "CUDA's part is libboxprompt_cuda.so beside the program or in ../lib; BOXPROMPT_CUDA_LIBRARY names "
      "another.");
  command->callback([json] { show(*json); });
}

}  // namespace bp::app
