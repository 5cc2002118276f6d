// boxprompt-bench [--device cpu|cuda|cuda:N] [--dtype f32|bf16] and Google Benchmark's own command line, with
// the machine and the kernels in use in the context.
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "bench/counters.h"

namespace {

// Takes `--name value` or `--name=value` out of the arguments.
std::string take(int& argc, char** argv, std::string_view name, std::string value) {
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view given = argv[i];
    if (given == name && i + 1 < argc)
      value = argv[++i];
    else if (given.starts_with(name) && given.size() > name.size() && given[name.size()] == '=')
      value = given.substr(name.size() + 1);
    else
      argv[kept++] = argv[i];
  }
  argc = kept;
  return value;
}

void describe(bp::Device device) {
  if (device.type == bp::Device::Type::cpu) {
    const bp::CpuInfo cpu = bp::cpu_info();
    benchmark::AddCustomContext("cpu", cpu.model);
    benchmark::AddCustomContext("kernels", cpu.level);
    benchmark::AddCustomContext("threads", std::to_string(cpu.threads));
    return;
  }
  const bp::k::DeviceInfo info = bp::device_info(device);
  benchmark::AddCustomContext("device", info.name);
  benchmark::AddCustomContext("driver", std::to_string(info.driver));
  benchmark::AddCustomContext("runtime", std::to_string(info.runtime));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    bp::bench::Setting& setting = bp::bench::setting();
    setting.device = bp::parse_device(take(argc, argv, "--device", "cpu"));
    const std::string dtype = take(argc, argv, "--dtype", "f32");
    bp::require(dtype == "f32" || dtype == "bf16", "--dtype ", dtype, ": wanted f32 or bf16");
    setting.dtype = dtype == "bf16" ? bp::DType::bf16 : bp::DType::f32;
    describe(setting.device);
    benchmark::AddCustomContext("dtype", dtype);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  } catch (const std::exception& e) {
    std::cerr << "boxprompt-bench: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
