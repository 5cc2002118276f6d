// Where tensors live, and the table of kernels of that place.
#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace bp {

struct Device {
  // simt: the emulator of CUDA threads on the processor (docs/kernels.md), for tests and for debugging
  // kernels.
  enum class Type : std::uint8_t { cpu, cuda, simt } type = Type::cpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};
std::ostream& operator<<(std::ostream& out, Device device);  // "cpu", "cuda:0", "simt"

// From "cpu", "cuda" (the first), "cuda:N", "simt", or "auto": CUDA where it can be used, else the processor.
// Throws Error where the text is none of these, or the device cannot be used, with the reason.
Device parse_device(const std::string& text);

std::vector<Device> devices();  // all that can be used, the processor first
std::string why_no_cuda();      // one line; empty where CUDA can be used

// Throws Error where the device cannot be used.
const k::Kernels& kernels(Device device);

// Of a device other than the processor.
k::DeviceInfo device_info(Device device);

// Waits until the device has done all that this process asked of it.
void synchronize(Device device);

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
