// Where tensors live, and the table of kernels of that place.
#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace bp {

struct Device {
  enum class Type : std::uint8_t { cpu } type = Type::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};
inline std::ostream& operator<<(std::ostream& out, Device) {
  return out << "cpu";
}

const k::Kernels& kernels(Device device);

// What `boxprompt devices` says of the processor: its name, the kernel level in use ("avx512", "avx2", ...;
// the environment variable BOXPROMPT_CPU asks for a lower one), the levels this binary has and this machine
// can run, and the instruction sets found.
struct CpuInfo {
  std::string model, level;
  std::vector<std::string> levels, features;
  int threads = 1;
};
CpuInfo cpu_info();

}  // namespace bp
