// Dense convolutions by cuDNN: channels-last tensors and weights are its NHWC format as they are. Only the
// algorithms that compute sums of products as such (no Winograd or Fourier transforms) and always in the same
// order; f32 without TF32. What cuDNN does not support is remembered and left to our own kernels.
#include "kernels/cuda/library.h"

#ifndef BP_CUDNN

namespace bp::cuda {

bool library_conv2d(const Conv2d&) {
  return false;
}
bool library_conv2d_backward(const Conv2dBackward&) {
  return false;
}

}  // namespace bp::cuda

#else

#include <cudnn.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "kernels/cuda/launch.h"

namespace bp::cuda {
namespace {

constexpr auto kForward = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
constexpr auto kInputGradient = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
constexpr auto kWeightGradient = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
constexpr std::size_t kMostBytes = std::size_t{256} << 20;  // of workspace

// False where cuDNN has no way to do this; other errors throw.
bool supported(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return true;
  const int category = CUDNN_STATUS_CATEGORY(static_cast<int>(status));
  if (category == CUDNN_STATUS_NOT_SUPPORTED || category == CUDNN_STATUS_BAD_PARAM) return false;
  throw std::runtime_error(std::string("cuda: ") + call + ": " + cudnnGetErrorString(status));
}
void check_dnn(cudnnStatus_t status, const char* call) {
  if (!supported(status, call))
    throw std::runtime_error(std::string("cuda: ") + call + ": " + cudnnGetErrorString(status));
}

enum class Direction : std::uint8_t { forward, input, weight };

// The descriptors of one shape and how much workspace it takes. Kept for the thread's life and never
// destroyed, as the driver may be gone by then.
struct Plan {
  cudnnTensorDescriptor_t x = nullptr, y = nullptr, bias = nullptr;
  cudnnFilterDescriptor_t weight = nullptr;
  cudnnConvolutionDescriptor_t convolution = nullptr;
  cudnnActivationDescriptor_t activation = nullptr;
  std::size_t bytes = 0;
  bool usable = false;
};

struct Library {
  cudnnHandle_t handle = nullptr;
  std::unordered_map<CallShape<12>, Plan, HashOfShape> plans;
};

// Of the calling thread and its device, on its stream.
Library& library() {
  thread_local std::unordered_map<int, Library> of_device;
  int device;
  check(cudaGetDevice(&device), "cudaGetDevice");
  Library& made = of_device[device];
  if (!made.handle) check_dnn(cudnnCreate(&made.handle), "cudnnCreate");
  check_dnn(cudnnSetStream(made.handle, stream()), "cudnnSetStream");
  return made;
}

cudnnTensorDescriptor_t tensor(cudnnDataType_t type, i64 n, i64 h, i64 w, i64 c) {
  cudnnTensorDescriptor_t made;
  check_dnn(cudnnCreateTensorDescriptor(&made), "cudnnCreateTensorDescriptor");
  check_dnn(cudnnSetTensor4dDescriptor(made, CUDNN_TENSOR_NHWC, type, static_cast<int>(n),
                                       static_cast<int>(c), static_cast<int>(h), static_cast<int>(w)),
            "cudnnSetTensor4dDescriptor");
  return made;
}

template <class P>
cudnnConvolutionDescriptor_t convolution(const P& p) {
  cudnnConvolutionDescriptor_t made;
  const int pad = static_cast<int>(p.pad), stride = static_cast<int>(p.stride);
  check_dnn(cudnnCreateConvolutionDescriptor(&made), "cudnnCreateConvolutionDescriptor");
  check_dnn(cudnnSetConvolution2dDescriptor(made, pad, pad, stride, stride, 1, 1, CUDNN_CROSS_CORRELATION,
                                            CUDNN_DATA_FLOAT),
            "cudnnSetConvolution2dDescriptor");
  const cudnnMathType_t math = p.dtype == DType::bf16 ? CUDNN_TENSOR_OP_MATH
                               : use_tf32()           ? CUDNN_DEFAULT_MATH
                                                      : CUDNN_FMA_MATH;
  check_dnn(cudnnSetConvolutionMathType(made, math), "cudnnSetConvolutionMathType");
  return made;
}

cudnnStatus_t workspace_size(cudnnHandle_t handle, Direction direction, Plan& plan) {
  switch (direction) {
    case Direction::forward:
      return cudnnGetConvolutionForwardWorkspaceSize(handle, plan.x, plan.weight, plan.convolution, plan.y,
                                                     kForward, &plan.bytes);
    case Direction::input:
      return cudnnGetConvolutionBackwardDataWorkspaceSize(handle, plan.weight, plan.y, plan.convolution,
                                                          plan.x, kInputGradient, &plan.bytes);
    case Direction::weight:
      break;
  }
  return cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, plan.x, plan.y, plan.convolution, plan.weight,
                                                        kWeightGradient, &plan.bytes);
}

template <class P>
Plan make_plan(cudnnHandle_t handle, Direction direction, const P& p, Act act) {
  const cudnnDataType_t type = p.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const i64 oh = (p.h + 2 * p.pad - p.kh) / p.stride + 1, ow = (p.w + 2 * p.pad - p.kw) / p.stride + 1;
  Plan plan;
  plan.x = tensor(type, p.n, p.h, p.w, p.c);
  plan.y = tensor(type, p.n, oh, ow, p.o);
  plan.bias = tensor(type, 1, 1, 1, p.o);
  check_dnn(cudnnCreateFilterDescriptor(&plan.weight), "cudnnCreateFilterDescriptor");
  check_dnn(cudnnSetFilter4dDescriptor(plan.weight, type, CUDNN_TENSOR_NHWC, static_cast<int>(p.o),
                                       static_cast<int>(p.c), static_cast<int>(p.kh), static_cast<int>(p.kw)),
            "cudnnSetFilter4dDescriptor");
  plan.convolution = convolution(p);
  check_dnn(cudnnCreateActivationDescriptor(&plan.activation), "cudnnCreateActivationDescriptor");
  const auto mode = act == Act::relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY;
  check_dnn(cudnnSetActivationDescriptor(plan.activation, mode, CUDNN_PROPAGATE_NAN, 0),
            "cudnnSetActivationDescriptor");
  plan.usable = supported(workspace_size(handle, direction, plan), "the workspace's size of a convolution") &&
                plan.bytes <= kMostBytes;
  return plan;
}

template <class P>
Plan& plan_of(Library& lib, Direction direction, const P& p, bool bias, Act act) {
  const auto flags = static_cast<i64>(direction) | i64{bias} << 2 | static_cast<i64>(act) << 3 |
                     static_cast<i64>(p.dtype) << 8;
  const auto [at, fresh] =
      lib.plans.try_emplace(CallShape<12>{flags, p.n, p.h, p.w, p.c, p.o, p.kh, p.kw, p.stride, p.pad});
  if (fresh) at->second = make_plan(lib.handle, direction, p, act);
  return at->second;
}

// Sizes that cuDNN can count, and addresses that its kernels may read in packs.
template <class P>
bool applies(const P& p, std::initializer_list<const void*> addresses) {
  if (!use_library()) return false;
  const i64 oh = (p.h + 2 * p.pad - p.kh) / p.stride + 1, ow = (p.w + 2 * p.pad - p.kw) / p.stride + 1;
  const i64 most = std::max({p.n * p.h * p.w * p.c, p.n * oh * ow * p.o, p.o * p.kh * p.kw * p.c});
  const i64 least = std::min({p.n, p.h, p.w, p.c, p.o, oh, ow});
  return least > 0 && most < (i64{1} << 31) &&
         std::all_of(addresses.begin(), addresses.end(), [](const void* a) { return alignment_of(a) == 16; });
}

bool run_forward(const Conv2d& p) {
  const Act fused = p.act == Act::relu ? Act::relu : Act::none;
  Library& lib = library();
  Plan& plan = plan_of(lib, Direction::forward, p, p.bias != nullptr, fused);
  if (!plan.usable) return false;
  void* bytes = workspace(kLibrarySlot, std::max<std::size_t>(plan.bytes, 1));
  const float one = 1, zero = 0;
  plan.usable = supported(
      p.bias ? cudnnConvolutionBiasActivationForward(
                   lib.handle, &one, plan.x, p.x, plan.weight, p.weight, plan.convolution, kForward, bytes,
                   plan.bytes, &zero, plan.y, p.y, plan.bias, p.bias, plan.activation, plan.y, p.y)
             : cudnnConvolutionForward(lib.handle, &one, plan.x, p.x, plan.weight, p.weight, plan.convolution,
                                       kForward, bytes, plan.bytes, &zero, plan.y, p.y),
      "cudnnConvolutionForward");
  return plan.usable;
}

bool run_backward(const Conv2dBackward& p, Direction direction) {
  Library& lib = library();
  Plan& plan = plan_of(lib, direction, p, false, Act::none);
  if (!plan.usable) return false;
  void* bytes = workspace(kLibrarySlot, std::max<std::size_t>(plan.bytes, 1));
  const float one = 1, zero = 0;
  plan.usable = supported(
      direction == Direction::input
          ? cudnnConvolutionBackwardData(lib.handle, &one, plan.weight, p.weight, plan.y, p.dy,
                                         plan.convolution, kInputGradient, bytes, plan.bytes, &zero, plan.x,
                                         p.dx)
          : cudnnConvolutionBackwardFilter(lib.handle, &one, plan.x, p.x, plan.y, p.dy, plan.convolution,
                                           kWeightGradient, bytes, plan.bytes, &zero, plan.weight, p.dweight),
      "cudnnConvolutionBackward");
  return plan.usable;
}

}  // namespace

// Exact GELU is a pass of its own, which in bf16 would round twice.
bool library_conv2d(const Conv2d& p) {
  if (!applies(p, {p.x, p.weight, p.bias, p.y})) return false;
  if (p.act == Act::gelu && p.dtype == DType::bf16) return false;
  if (p.act == Act::relu && !p.bias) return false;
  if (!run_forward(p)) return false;
  const i64 oh = (p.h + 2 * p.pad - p.kh) / p.stride + 1, ow = (p.w + 2 * p.pad - p.kw) / p.stride + 1;
  if (p.act == Act::gelu) unary({UnaryOp::gelu, p.y, p.y, p.n * oh * ow * p.o, p.dtype, 1, 0});
  return true;
}

bool library_conv2d_backward(const Conv2dBackward& p) {
  if (!applies(p, {p.x, p.weight, p.dy, p.dx, p.dweight})) return false;
  return (!p.dx || run_backward(p, Direction::input)) && (!p.dweight || run_backward(p, Direction::weight));
}

}  // namespace bp::cuda
#endif
