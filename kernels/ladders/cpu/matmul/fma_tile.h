// A tile of rows x 2 vectors of f32 by multiply-adds. Included inside a level's namespace, after simd.h
// (kernels/cpu/simd.h: vf is the level's vector of kLanes floats).

template <int rows>
static void fma_tile(const float* strip, const float* panel, i64 depth, float* c, i64 ldc, bool add) {
  vf sum[rows][2];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) sum[i][j] = add ? load(c + i * ldc + j * kLanes) : vf{};
  for (i64 q = 0; q < depth; ++q) {
    const vf left = load(panel + q * 2 * kLanes), right = load(panel + q * 2 * kLanes + kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      const vf a = splat(strip[i * ladder::kStripStride + q]);
      sum[i][0] += a * left;
      sum[i][1] += a * right;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) store(c + i * ldc + j * kLanes, sum[i][j]);
}
