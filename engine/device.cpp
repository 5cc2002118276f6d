#include "engine/device.h"

#include "kernels/cpu/dispatch.h"
#include "kernels/threads.h"

namespace bp {

const k::Kernels& kernels(Device) {
  static const k::Kernels& cpu = cpu::kernels();
  return cpu;
}

CpuInfo cpu_info() {
  return {cpu::model_name(), cpu::level(), cpu::levels(), cpu::features(), threads()};
}

}  // namespace bp
