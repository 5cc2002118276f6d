// f32 products on CUDA cores: a thread holds ThreadRows x ThreadColumns sums. Which rows these are follows
// from what reads of 16 bytes want: where the depth is inner in the tile, neighbouring threads read
// neighbouring rows; else a thread reads four rows at once.
#include "kernels/cuda/gemm.h"

namespace bp::cuda {
namespace {

template <int Rows, int Columns, int ThreadRows, int ThreadColumns, int Blocks>
class FmaSums {
  static constexpr int kDown = Rows / ThreadRows, kAcross = Columns / ThreadColumns;

 public:
  using Type = float;
  static constexpr int kRows = Rows, kColumns = Columns, kDepth = 16;
  static constexpr int kThreads = kDown * kAcross, kBlocks = Blocks;

  // False where none of the thread's sums are among the rows and columns that are left.
  __device__ __forceinline__ bool begin(i64 rows, i64 columns) {
    down_ = static_cast<int>(threadIdx.x) / kAcross;
    across_ = static_cast<int>(threadIdx.x) % kAcross;
#pragma unroll
    for (int i = 0; i < ThreadRows; ++i)
#pragma unroll
      for (int j = 0; j < ThreadColumns; ++j) sum_[i][j] = 0;
    return down_ < rows && across_ < columns;
  }

  template <bool TA, bool TB>
  __device__ __forceinline__ void add(const float* a, const float* b) {
    using ShapeA = TileShape<float, Rows, kDepth, !TA>;
    using ShapeB = TileShape<float, Columns, kDepth, TB>;
#pragma unroll 1
    for (int k = 0; k < kDepth / 4; ++k) {  // four depths at once
      float bs[4][ThreadColumns];
      if constexpr (TB) {
#pragma unroll
        for (int j = 0; j < ThreadColumns; ++j) {
          const Pack<float, 4> read = load_pack<4>(b + ShapeB::at(across_ + j * kAcross, k));
#pragma unroll
          for (int e = 0; e < 4; ++e) bs[e][j] = read.v[e];
        }
      } else {
#pragma unroll
        for (int e = 0; e < 4; ++e)
#pragma unroll
          for (int j = 0; j < ThreadColumns; ++j)
            if (j % 4 == 0) {
              const Pack<float, 4> read = load_pack<4>(b + ShapeB::at(4 * k + e, across_ + j / 4 * kAcross));
#pragma unroll
              for (int q = 0; q < 4; ++q) bs[e][j + q] = read.v[q];
            }
      }
#pragma unroll
      for (int i = 0; i < ThreadRows; ++i) {
        if constexpr (!TA) {
          const Pack<float, 4> read = load_pack<4>(a + ShapeA::at(down_ + i * kDown, k));
#pragma unroll
          for (int e = 0; e < 4; ++e) add_row(i, read.v[e], bs[e]);
        } else if (i % 4 == 0) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const Pack<float, 4> read = load_pack<4>(a + ShapeA::at(4 * k + e, down_ + i / 4 * kDown));
#pragma unroll
            for (int q = 0; q < 4; ++q) add_row(i + q, read.v[q], bs[e]);
          }
        }
      }
    }
  }

  template <bool TA, bool TB>
  __device__ __forceinline__ void store(float* block, int stride) const {
#pragma unroll
    for (int i = 0; i < ThreadRows; ++i) {
      const int row = TA ? i / 4 * 4 * kDown + 4 * down_ + i % 4 : down_ + i * kDown;
      if constexpr (TB) {
#pragma unroll
        for (int j = 0; j < ThreadColumns; ++j) block[row * stride + across_ + j * kAcross] = sum_[i][j];
      } else {
#pragma unroll
        for (int j = 0; j < ThreadColumns; j += 4)
          store_pack<4>(block + row * stride + j * kAcross + 4 * across_,
                        Pack<float, 4>{{sum_[i][j], sum_[i][j + 1], sum_[i][j + 2], sum_[i][j + 3]}});
      }
    }
  }

 private:
  __device__ __forceinline__ void add_row(int i, float a, const float (&b)[ThreadColumns]) {
#pragma unroll
    for (int j = 0; j < ThreadColumns; ++j) sum_[i][j] += a * b[j];
  }

  float sum_[ThreadRows][ThreadColumns];
  int down_, across_;
};

}  // namespace

void gemm_f32(const Gemm& g, bool large) {
  large ? run_gemm<FmaSums<128, 64, 8, 8, 3>>(g) : run_gemm<FmaSums<64, 64, 8, 4, 4>>(g);
}

}  // namespace bp::cuda
