// Shared objects in the place of CUDA's part, each useless in another way (tests/CMakeLists.txt).
#include "kernels/backend.h"

#ifndef FAKE_WITHOUT_ENTRY
extern "C" const bp::k::Backend* bp_backend(const char** why) {
#ifdef FAKE_WITHOUT_DRIVER
  *why = "the driver is for CUDA 11.2, wanted 13.0\nand a second line";
  return nullptr;
#else
  static const bp::k::Backend backend = [] {
    bp::k::Backend b{};
    b.version = FAKE_VERSION;
    return b;
  }();
  return *why = nullptr, &backend;
#endif
}
#endif
