// bf16 products on tensor cores: a warp holds WarpRows x WarpColumns sums as mma fragments.
#include "kernels/cuda/gemm.h"

namespace bp::cuda {
namespace {

template <int Rows, int Columns, int WarpRows, int WarpColumns, int Blocks>
class MmaSums {
  static constexpr int kAcross = Columns / WarpColumns;
  static constexpr int kM = WarpRows / 16, kN = WarpColumns / 8;
  static_assert(kN % 2 == 0);

 public:
  using Type = bf16;
  static constexpr int kRows = Rows, kColumns = Columns, kDepth = 32;
  static constexpr int kThreads = kWarpSize * (Rows / WarpRows) * kAcross, kBlocks = Blocks;

  // False where none of the warp's sums are among the rows and columns that are left.
  __device__ __forceinline__ bool begin(i64 rows, i64 columns) {
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    lane_ = static_cast<int>(threadIdx.x) % kWarpSize;
    row_ = warp / kAcross * WarpRows;
    column_ = warp % kAcross * WarpColumns;
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int j = 0; j < kN; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sum_[i][j][e] = 0;
    return row_ < rows && column_ < columns;
  }

  // ldmatrix takes its addresses from the lanes: lane 8 i + r that of row r of matrix i. The four matrices of
  // a fragment of A are (rows 0, depth 0), (rows 8, depth 0), (rows 0, depth 8), (rows 8, depth 8); those of
  // two neighbouring fragments of B go over the depth first.
  template <bool TA, bool TB>
  __device__ __forceinline__ void add(const bf16* a, const bf16* b) {
    using ShapeA = TileShape<bf16, Rows, kDepth, !TA>;
    using ShapeB = TileShape<bf16, Columns, kDepth, TB>;
    const int r = lane_ % 8, first = lane_ / 8 % 2, second = lane_ / 16;
#pragma unroll
    for (int k = 0; k < kDepth / 16; ++k) {
      unsigned fa[kM][4], fb[kN / 2][4];
#pragma unroll
      for (int i = 0; i < kM; ++i) {
        const int row = row_ + 16 * i;
        load_matrices<4, TA>(fa[i], a + (TA ? ShapeA::at(16 * k + 8 * second + r, row / 8 + first)
                                            : ShapeA::at(row + 8 * first + r, 2 * k + second)));
      }
#pragma unroll
      for (int j = 0; j < kN / 2; ++j) {
        const int column = column_ + 16 * j;
        load_matrices<4, !TB>(fb[j], b + (TB ? ShapeB::at(column + 8 * second + r, 2 * k + first)
                                             : ShapeB::at(16 * k + 8 * first + r, column / 8 + second)));
      }
#pragma unroll
      for (int i = 0; i < kM; ++i)
#pragma unroll
        for (int j = 0; j < kN; ++j) {
          const unsigned pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
          mma_bf16(sum_[i][j], fa[i], pair);
        }
    }
  }

  template <bool TA, bool TB>
  __device__ __forceinline__ void store(float* block, int stride) const {
    const int g = lane_ / 4, t = lane_ % 4;
#pragma unroll
    for (int i = 0; i < kM; ++i)
#pragma unroll
      for (int j = 0; j < kN; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          store_pack<2>(block + (row_ + 16 * i + 8 * half + g) * stride + column_ + 8 * j + 2 * t,
                        Pack<float, 2>{{sum_[i][j][2 * half], sum_[i][j][2 * half + 1]}});
  }

 private:
  float sum_[kM][kN][4];
  int lane_, row_, column_;
};

}  // namespace

void gemm_bf16(const Gemm& g, bool large) {
  large ? run_gemm<MmaSums<128, 128, 64, 32, 2>>(g) : run_gemm<MmaSums<64, 64, 32, 32, 4>>(g);
}

}  // namespace bp::cuda
