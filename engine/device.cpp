#include "engine/device.h"

#include <charconv>

#include "engine/backend.h"
#include "engine/error.h"
#include "engine/profile.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/threads.h"

namespace bp {

std::ostream& operator<<(std::ostream& out, Device device) {
  switch (device.type) {
    case Device::Type::cpu:
      return out << "cpu";
    case Device::Type::cuda:
      return out << "cuda:" << device.index;
    case Device::Type::simt:
      return out << "simt";
  }
  return out;
}

Device parse_device(const std::string& text) {
  if (text == "cpu") return {};
  if (text == "auto") return why_no_cuda().empty() ? Device{Device::Type::cuda} : Device{};
  Device device{Device::Type::cuda};
  if (text == "simt") {
    device.type = Device::Type::simt;
  } else if (text != "cuda") {
    const char *begin = text.data() + 5, *end = text.data() + text.size();
    bool known = text.starts_with("cuda:") && begin < end && *begin != '-';
    if (known) {
      const auto [stopped, error] = std::from_chars(begin, end, device.index);
      known = error == std::errc{} && stopped == end;
    }
    require(known, "device ", text, ": unknown, wanted cpu, cuda, cuda:N, simt or auto");
  }
  backend(device);
  return device;
}

std::vector<Device> devices() {
  std::vector<Device> all{Device{}};
  for (const auto type : {Device::Type::cuda, Device::Type::simt})
    for (int i = 0; i < device_count(type); ++i) all.push_back({type, i});
  return all;
}

const k::Kernels& kernels(Device device) {
  if (const k::Kernels* profiled = profiled_kernels(device)) [[unlikely]]
    return *profiled;
  static const k::Kernels& cpu = cpu::kernels();
  return device.type == Device::Type::cpu ? cpu : backend(device).kernels;
}

k::DeviceInfo device_info(Device device) {
  return backend(device).info(device.index);
}

void synchronize(Device device) {
  if (device.type != Device::Type::cpu) backend(device).synchronize();
}

CpuInfo cpu_info() {
  return {cpu::model_name(), cpu::level(), cpu::levels(), cpu::features(), threads()};
}

}  // namespace bp
