// Convolution as a matrix product, as on the CPU: a chunk of output pixels at a time, the patch of the input
// under each pixel becomes a row of kh*kw*c columns in workspace. Chunks are as large as stays in L2.
#pragma once
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/gemm.h"

namespace bp::cuda {

struct Geometry {
  i64 n, h, w, c, kh, kw, stride, pad, oh, ow;
  __host__ __device__ i64 patch() const { return kh * kw * c; }
  __host__ __device__ i64 pixels() const { return oh * ow; }  // of one image
};

template <class P>
Geometry geometry(const P& p) {
  const i64 oh = (p.h + 2 * p.pad - p.kh) / p.stride + 1, ow = (p.w + 2 * p.pad - p.kw) / p.stride + 1;
  return {p.n, p.h, p.w, p.c, p.kh, p.kw, p.stride, p.pad, oh, ow};
}

// Where patches are pixels, in their order.
template <class P>
bool is_product(const P& p) {
  return p.kh == 1 && p.kw == 1 && p.stride == 1 && p.pad == 0;
}

inline i64 rows_per_chunk(i64 patch) {
  return std::max<i64>(64, 65536 * i64{multiprocessors()} / std::max<i64>(1, patch));
}

// columns [count, patch]: the patches of output pixels [first, first + count). Of the type of x.
void gather_patches(const void* x, void* columns, const Geometry& g, i64 first, i64 count, DType dtype);

// What a product of contiguous matrices needs to say.
inline Matmul plain_product(const void* a, bool ta, const void* b, bool tb, void* c, i64 m, i64 n, i64 k,
                            DType dtype) {
  Matmul p{};
  p.a = a;
  p.b = b;
  p.c = c;
  p.m = m;
  p.n = n;
  p.k = k;
  p.ta = ta;
  p.tb = tb;
  p.lda = ta ? m : k;
  p.ldb = tb ? k : n;
  p.ldc = n;
  p.batch = 1;
  p.alpha = 1;
  p.act = Act::none;
  p.dtype = dtype;
  return p;
}

}  // namespace bp::cuda
