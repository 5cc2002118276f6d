// boxprompt-bench: Google Benchmark's own command line, with the machine and the kernels in use in the
// context.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "engine/device.h"

int main(int argc, char** argv) {
  const bp::CpuInfo cpu = bp::cpu_info();
  benchmark::AddCustomContext("cpu", cpu.model);
  benchmark::AddCustomContext("kernels", cpu.level);
  benchmark::AddCustomContext("threads", std::to_string(cpu.threads));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return EXIT_SUCCESS;
}
