// Kernels that are not written yet: the strong definition in an op's file takes the place of these.
#include <stdexcept>

#include "kernels/cuda/table.h"

namespace bp::cuda {

#define BP_PENDING(name, Args)                                 \
  __attribute__((weak)) void name(const Args&) {               \
    throw std::runtime_error("no CUDA kernel yet for " #name); \
  }

}  // namespace bp::cuda
