// Matrix products by cuBLASLt. It counts matrices by columns, so row-major C = A B is its C^T = B^T A^T: its
// first operand is our B. Its GELU is the approximation by tanh; so in f32 GELU is a pass of its own, and in
// bf16, where that would round twice, our own kernel does the product. Partial sums are only added in f32, in
// a fixed order.
#include "kernels/cuda/library.h"

#include <cublasLt.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "kernels/cuda/launch.h"

namespace bp::cuda {
namespace {

void check_blas(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string("cuda: ") + call + ": " + cublasLtGetStatusString(status));
}

bool environment_says(const char* name, std::string_view value) {
  const char* set = std::getenv(name);
  return set && set == value;
}

// How to do the products of one shape; without an algorithm where the library has none. Kept for the thread's
// life and never destroyed, as the driver may be gone by then.
struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, result = nullptr;
  cublasLtMatmulAlgo_t algorithm;
  bool found = false;
};

template <class V>
void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, V value) {
  check_blas(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value),
             "cublasLtMatmulDescSetAttribute");
}
template <class V>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, V value) {
  check_blas(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
             "cublasLtMatmulPreferenceSetAttribute");
}

// `columns` of `rows` elements each, `ld` apart.
cublasLtMatrixLayout_t layout(cudaDataType_t type, i64 rows, i64 columns, i64 ld, i64 batch, i64 stride) {
  cublasLtMatrixLayout_t made;
  check_blas(cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(rows),
                                        static_cast<std::uint64_t>(columns), ld),
             "cublasLtMatrixLayoutCreate");
  const auto count = static_cast<std::int32_t>(batch);
  check_blas(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
             "cublasLtMatrixLayoutSetAttribute");
  check_blas(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                              sizeof stride),
             "cublasLtMatrixLayoutSetAttribute");
  return made;
}

cublasLtEpilogue_t epilogue(const Matmul& p) {
  if (p.act == Act::relu) return p.bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
  return p.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

const void* added_to(const Matmul& p) {
  return p.residual ? p.residual : p.c;
}

Plan make_plan(cublasLtHandle_t handle, const Matmul& p) {
  const cudaDataType_t type = p.dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
  const bool tf32 = p.dtype == DType::f32 && use_tf32();
  Plan plan;
  check_blas(cublasLtMatmulDescCreate(&plan.product, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                                      CUDA_R_32F),
             "cublasLtMatmulDescCreate");
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, p.tb ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, p.ta ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue(p));
  if (p.bias) set(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  plan.first = layout(type, p.tb ? p.k : p.n, p.tb ? p.n : p.k, p.ldb, p.batch, p.b_batch);
  plan.second = layout(type, p.ta ? p.m : p.k, p.ta ? p.k : p.m, p.lda, p.batch, p.a_batch);
  plan.result = layout(type, p.n, p.m, p.ldc, p.batch, p.c_batch);

  cublasLtMatmulPreference_t preference;
  check_blas(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kLibraryBytes});
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  const auto aligned = [](const void* x) { return static_cast<std::uint32_t>(alignment_of(x)); };
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned(p.b));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned(p.a));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned(added_to(p)));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned(p.c));
  cublasLtMatmulHeuristicResult_t result{};
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle, plan.product, plan.first, plan.second, plan.result, plan.result,
                                     preference, 1, &result, &count);
  cublasLtMatmulPreferenceDestroy(preference);
  plan.found = status == CUBLAS_STATUS_SUCCESS && count == 1 && result.state == CUBLAS_STATUS_SUCCESS;
  plan.algorithm = result.algo;
  return plan;
}

// Of the calling thread and its device.
struct Library {
  cublasLtHandle_t handle = nullptr;
  std::unordered_map<CallShape<20>, Plan, HashOfShape> plans;
};

Library& library() {
  thread_local std::unordered_map<int, Library> of_device;
  int device;
  check(cudaGetDevice(&device), "cudaGetDevice");
  Library& made = of_device[device];
  if (!made.handle) check_blas(cublasLtCreate(&made.handle), "cublasLtCreate");
  return made;
}

CallShape<20> shape_of(const Matmul& p) {
  const auto flags = static_cast<i64>(p.ta) | static_cast<i64>(p.tb) << 1 | i64{p.bias != nullptr} << 2 |
                     i64{p.residual != nullptr || p.accumulate} << 3 | static_cast<i64>(p.act) << 4 |
                     static_cast<i64>(p.dtype) << 8;
  return {p.m,
          p.n,
          p.k,
          p.lda,
          p.ldb,
          p.ldc,
          p.batch,
          p.a_batch,
          p.b_batch,
          p.c_batch,
          flags,
          alignment_of(p.a),
          alignment_of(p.b),
          alignment_of(added_to(p)),
          alignment_of(p.c)};
}

bool applies(const Matmul& p) {
  if (!use_library() || p.k == 0) return false;
  const bool contiguous = p.ldc == p.n && (p.batch == 1 || p.c_batch == p.m * p.n);
  if (p.act == Act::gelu && (p.dtype == DType::bf16 || !contiguous)) return false;
  if (p.act != Act::none && p.residual) return false;  // the library adds before it activates
  return alignment_of(p.bias) == 16 && p.lda >= (p.ta ? p.m : p.k) && p.ldb >= (p.tb ? p.k : p.n) &&
         p.ldc >= p.n;
}

}  // namespace

bool use_library() {
  static const bool use = !environment_says("BOXPROMPT_CUDA_PRODUCTS", "own");
  return use;
}
bool use_tf32() {
  static const bool use = environment_says("BOXPROMPT_CUDA_TF32", "1");
  return use;
}

bool library_matmul(const Matmul& p) {
  if (!applies(p)) return false;
  Library& lib = library();
  const auto [at, fresh] = lib.plans.try_emplace(shape_of(p));
  Plan& plan = at->second;
  if (fresh) plan = make_plan(lib.handle, p);
  if (!plan.found) return false;
  if (p.bias) set(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  const float beta = p.residual || p.accumulate ? 1 : 0;
  check_blas(cublasLtMatmul(lib.handle, plan.product, &p.alpha, p.b, plan.first, p.a, plan.second, &beta,
                            added_to(p), plan.result, p.c, plan.result, &plan.algorithm,
                            workspace(kLibrarySlot, kLibraryBytes), kLibraryBytes, stream()),
             "cublasLtMatmul");
  if (p.act == Act::gelu) unary({UnaryOp::gelu, p.c, p.c, p.batch * p.m * p.n, DType::f32, 1, 0});
  return true;
}

}  // namespace bp::cuda
