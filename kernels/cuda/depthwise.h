// Depthwise 3x3 convolution, what its kernels share. A thread owns a pack of N channels and walks along two
// rows of outputs, column by column: a column of inputs (the kernel's 3 rows, and those for the second row of
// outputs) is loaded once and used for all outputs that it reaches. Neighbouring threads have neighbouring
// channels.
#pragma once
#include "kernels/cuda/elementwise.h"

namespace bp::cuda {

inline i64 depthwise_size(i64 in, i64 stride) {
  return (in - 1) / stride + 1;
}

// Forward, or with the weight turned by 180 degrees.
void run_depthwise(const Depthwise& p, bool turned);

// One column of R rows of an image [h,w,c], from row y on; zeros outside of it.
template <int R, int N, class T>
__device__ __forceinline__ void load_column(float (&v)[R][N], const T* image, i64 h, i64 w, i64 c, i64 y,
                                            i64 x) {
  const T* from = image + (y * w + x) * c;
#pragma unroll
  for (int r = 0; r < R; ++r) {
    if (x >= 0 && x < w && y + r >= 0 && y + r < h) {
      load_floats(from + r * w * c, v[r]);
    } else {
#pragma unroll
      for (int i = 0; i < N; ++i) v[r][i] = 0;
    }
  }
}

template <int R, int N>
__device__ __forceinline__ void set_column(float (&v)[R][N], const float (&value)[N]) {
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int i = 0; i < N; ++i) v[r][i] = value[i];
}

// Packs of four channels where addresses and the number of channels allow, else single ones: calls f with the
// number as an integral constant.
template <class T, class F, class... P>
void with_channels(i64 c, const F& f, const P*... addresses) {
  constexpr std::uintptr_t bytes = 4 * sizeof(T);
  if (c % 4 == 0 && ((reinterpret_cast<std::uintptr_t>(addresses) % bytes == 0) && ...))
    f(std::integral_constant<int, 4>());
  else
    f(std::integral_constant<int, 1>());
}

// How many columns of outputs a thread walks along: fewer where there would be too few threads, as every
// strip reads one or two columns of its neighbours.
inline int strip_length(i64 columns, i64 threads_per_column) {
  int length = 32;
  while (length > 4 && ceil_div(columns, length) * threads_per_column < 2048 * i64{multiprocessors()})
    length /= 2;
  return length;
}

}  // namespace bp::cuda
