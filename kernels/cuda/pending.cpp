// Kernels that are not written yet: the strong definition in an op's file takes the place of these.
#include <stdexcept>

#include "kernels/cuda/table.h"

namespace bp::cuda {

#define BP_PENDING(name, Args)                                 \
  __attribute__((weak)) void name(const Args&) {               \
    throw std::runtime_error("no CUDA kernel yet for " #name); \
  }
BP_PENDING(resize_bilinear, ResizeBilinear)
BP_PENDING(resize_bilinear_backward, ResizeBilinearBackward)
BP_PENDING(resize_pil, ResizePil)
BP_PENDING(normalize_pad, NormalizePad)

}  // namespace bp::cuda
