// Products and convolutions by NVIDIA's libraries (not in the emulator). Each returns false where the library
// cannot compute this as exactly as our own kernels, or not at all; then those have to do all of it.
//
// BOXPROMPT_CUDA_PRODUCTS=own leaves everything to our own kernels. BOXPROMPT_CUDA_TF32=1 lets products and
// convolutions of f32 round their operands to 10 bits of mantissa; without it they are in f32 throughout.
#pragma once
#include <array>
#include <cstddef>
#include <string_view>

#include "kernels/cuda/table.h"

namespace bp::cuda {

bool library_matmul(const Matmul&);
bool library_conv2d(const Conv2d&);
bool library_conv2d_backward(const Conv2dBackward&);

bool use_library();
bool use_tf32();

constexpr int kLibrarySlot = 6;
constexpr std::size_t kLibraryBytes = std::size_t{32} << 20;  // of workspace that an algorithm may use

// What a call is like: all that a choice of algorithm may depend on.
template <std::size_t N>
using CallShape = std::array<i64, N>;
struct HashOfShape {
  template <std::size_t N>
  std::size_t operator()(const CallShape<N>& shape) const {
    return std::hash<std::string_view>{}(
        {reinterpret_cast<const char*>(shape.data()), sizeof(i64) * shape.size()});
  }
};

// The largest power of two up to 16 that divides the address.
inline i64 alignment_of(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | 16;
  return static_cast<i64>(bits & (~bits + 1));
}

}  // namespace bp::cuda
