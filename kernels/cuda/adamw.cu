// One step of AdamW over all parameters, the moving average of the weights included. Floor: w, m, v and the
// average read and written, the gradient read and the copy written once. What changes from step to step is
// read from device memory; a block first makes the gradients' factor of the norms.
#include "kernels/cuda/pieces.h"
#include "kernels/cuda/table.h"

namespace bp::cuda {
namespace {

using Items = Group<AdamW::Item>;

// *grad_scale, or -1 where a gradient is not finite.
__global__ void __launch_bounds__(kThreads)
    find_scale(const float* squares, i64 count, double clip, float* grad_scale) {
  BP_SHARED(double, shared, kThreads);
  const int thread = static_cast<int>(threadIdx.x);
  constexpr float kLargest = 3.402823466e38f;
  double sum = 0;
  int finite = 1;
  for (i64 i = thread; i < count; i += kThreads) {
    finite &= squares[i] <= kLargest;
    sum += static_cast<double>(squares[i]);
  }
  shared[thread] = finite ? sum : -1.0;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) {
      const double a = shared[thread], b = shared[thread + half];
      shared[thread] = a < 0 || b < 0 ? -1.0 : a + b;
    }
  }
  if (thread != 0) return;
  const double norm = sqrt(shared[0]);
  *grad_scale = shared[0] < 0 ? -1.0f : clip > 0 && norm > clip ? static_cast<float>(clip / norm) : 1.0f;
}

struct Step {  // what is the same for all elements of a tensor
  float lr, decay, m_scale, v_scale, average_step, grad_scale, beta1, beta2, eps;
};

template <class T>
struct Update {
  Step step;
  AdamW::Item t;
  template <int N>
  __device__ void at(i64 i) const {
    float g[N], w[N], m[N], v[N];
    load_floats(static_cast<const T*>(t.grad) + i, g);
    load_floats(t.w + i, w);
    load_floats(t.m + i, m);
    load_floats(t.v + i, v);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      g[k] *= step.grad_scale;
      w[k] -= step.lr * step.decay * w[k];
      m[k] += (1 - step.beta1) * (g[k] - m[k]);
      v[k] += (1 - step.beta2) * (g[k] * g[k] - v[k]);
      w[k] -= step.lr * (m[k] * step.m_scale) / (sqrtf(v[k]) * step.v_scale + step.eps);
    }
    store_floats(t.w + i, w);
    store_floats(t.m + i, m);
    store_floats(t.v + i, v);
    if (t.copy) store_floats(static_cast<T*>(t.copy) + i, w);
    if (t.average) move_average<N>(i, w);
  }
  template <int N>
  __device__ void move_average(i64 i, const float (&w)[N]) const {
    float average[N];
    load_floats(t.average + i, average);
#pragma unroll
    for (int k = 0; k < N; ++k) average[k] += step.average_step * (w[k] - average[k]);
    store_floats(t.average + i, average);
  }
};

struct Average {  // where there is no gradient
  Update<float> update;
  template <int N>
  __device__ void at(i64 i) const {
    float w[N];
    load_floats(update.t.w + i, w);
    update.move_average<N>(i, w);
  }
};

template <class F>
__device__ __forceinline__ void run_piece(const AdamW::Item& t, const Piece& piece, const F& f) {
  const auto bits = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  if ((bits(t.w) | bits(t.m) | bits(t.v) | bits(t.average) | bits(t.copy) | bits(t.grad)) % 16 == 0)
    each_of_piece<4>(piece, f);
  else
    each_of_piece<1>(piece, f);
}

__global__ void __launch_bounds__(kThreads)
    update_pieces(Items group, const float* schedule, const float* grad_scale, float beta1, float beta2,
                  float eps) {
  const Piece piece = piece_of(group, static_cast<int>(blockIdx.x));
  const AdamW::Item t = group.items[piece.item];
  const Step step{schedule[0] * t.lr_scale,
                  t.decay,
                  schedule[1],
                  schedule[2],
                  schedule[3],
                  *grad_scale,
                  beta1,
                  beta2,
                  eps};
  if (step.grad_scale < 0) return;
  if (!t.grad) {
    if (t.average) run_piece(t, piece, Average{{step, t}});
  } else if (t.dtype == DType::f32) {
    run_piece(t, piece, Update<float>{step, t});
  } else {
    run_piece(t, piece, Update<bf16>{step, t});
  }
}

}  // namespace

void adamw(const AdamW& a) {
  auto* grad_scale = workspace<float>(0, 1);
  launch(find_scale, 1u, kThreads, 0, a.squares, a.count, a.clip, grad_scale);
  each_group(a.items, a.count, [&](const Items& group, i64, unsigned pieces) {
    if (pieces > 0)
      launch(update_pieces, pieces, kThreads, 0, group, a.schedule, grad_scale, a.beta1, a.beta2, a.eps);
  });
}

}  // namespace bp::cuda
