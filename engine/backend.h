// Finds the backends of devices beside the processor. The emulator is part of the program. CUDA is a shared
// object, libboxprompt_cuda.so, so that the program starts where there is no CUDA: it is looked for beside
// the program, in ../lib from there and on the loader's path, and opened when it is first wanted. The
// environment variable BOXPROMPT_CUDA_LIBRARY names another file.
#pragma once
#include "engine/device.h"

namespace bp {

// The backend of a device, which it selects for the calling thread. Throws Error with the reason where the
// device cannot be used, or is not there.
const k::Backend& backend(Device device);

int device_count(Device::Type type);  // 0 where there is no backend

// While it lives, this thread gets another backend for a device (engine/graph.cpp). Not nested.
class Substitute {
 public:
  Substitute(Device device, const k::Backend& backend);
  ~Substitute();
  Substitute(const Substitute&) = delete;
  Substitute& operator=(const Substitute&) = delete;
};

// For tests: puts a backend in the place of the one that was found, or null to have that back. No tensor may
// live on its devices.
void use_backend(Device::Type type, const k::Backend* backend);

}  // namespace bp
