// Tensor maps. The driver's function that writes one is asked of the CUDA runtime, so that the library loads
// on machines without a driver.
#include "kernels/cuda/hopper.h"

#include <cudaTypedefs.h>

namespace bp::cuda {
namespace {

PFN_cuTensorMapEncodeTiled_v12000 encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check(
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found),
      "cudaGetDriverEntryPointByVersion");
  if (found != cudaDriverEntryPointSuccess)
    throw std::runtime_error("cuda: the driver has no cuTensorMapEncodeTiled, update it");
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

}  // namespace

TileMap make_tile_map(const void* matrix, i64 rows, i64 columns, i64 stride, unsigned box_rows) {
  require_mappable(matrix, rows, columns, stride, box_rows);
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = encoder();
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t row_bytes = static_cast<cuuint64_t>(stride) * sizeof(bf16);
  const cuuint32_t box[2] = {kTileColumns, box_rows}, steps[2] = {1, 1};
  TileMap map;
  const CUresult result =
      encode(&map.map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(matrix), sizes, &row_bytes, box,
             steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw std::runtime_error("cuda: cuTensorMapEncodeTiled: error " + std::to_string(result));
  return map;
}

}  // namespace bp::cuda
