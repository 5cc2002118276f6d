// A block has a whole window of one head: its keys and values come to shared memory once, as f32, and a
// thread has a query of them, with its output and softmax in registers. Each number is then read from memory
// once instead of once a query (196 times in a window of 14 x 14), the two products take 4 multiply-adds for
// each read of 16 bytes from shared memory, and no logit leaves its thread.
// Keys and values of 14 x 14 tokens take 102 KB at d = 64 and 128 KB at d = 80, positions 25 KB: a block of 7
// warps is alone on its multiprocessor, on an A100 as on an H100, so nothing runs while it loads.
#include "kernels/ladders/cuda/thread_query.h"
#include "kernels/ladders/cuda/window_attention/windows.h"

namespace bp::cuda::windowed {
namespace {

constexpr int kMostThreads = 256, kAtOnce = 8;  // keys between two corrections of the softmax

template <class T>
int threads(const Windows<T>& a) {
  return static_cast<int>(std::min<i64>(ceil_div(a.tokens, kWarpSize) * kWarpSize, kMostThreads));
}
__host__ __device__ __forceinline__ int padded_keys(int tokens) {
  return (tokens + kAtOnce - 1) / kAtOnce * kAtOnce;
}
// Keys, values, and positions: the table of the head, or win_h + win_w numbers a thread.
template <class T>
std::size_t shared_bytes(const Windows<T>& a) {
  const int positions = a.rel_h ? (a.win_h + a.win_w) * threads(a) : a.bias ? a.tokens : 0;
  return static_cast<std::size_t>(2 * padded_keys(a.tokens) * a.d + positions) * sizeof(float);
}

template <class T, int D>
__global__ void __launch_bounds__(kMostThreads) attend(const Windows<T> a) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x),
            rows = padded_keys(a.tokens);
  auto* const keys = dynamic_shared<float>();
  float *const values = keys + rows * D, *const positions = values + rows * D;
  const i64 unit = blockIdx.x;
  for (int i = thread; i < rows * D; i += threads) {
    const int t = i / D, c = i % D;
    keys[i] = t < a.tokens ? load_f32(a.row(unit, 1, t)[c]) : 0.0f;
    values[i] = t < a.tokens ? load_f32(a.row(unit, 2, t)[c]) : 0.0f;
  }
  if (a.bias)
    for (int i = thread; i < a.tokens; i += threads)
      positions[i] = load_f32(a.bias[unit % a.heads * a.tokens + i]) * kLog2E;
  __syncthreads();

  for (int t = thread; t < a.tokens; t += threads) {
    ThreadQuery<D> query(a.row(unit, 0, t));
    const int y = t / a.win_w, x = t % a.win_w;
    float* const mine = positions + thread;  // entry i at i * threads: no two lanes in one bank
    if (a.rel_h)
      for (int i = 0; i < a.win_h + a.win_w; ++i) {
        const T* const rel = i < a.win_h ? a.rel_h + (y - i + a.win_h - 1) * D
                                         : a.rel_w + (x - (i - a.win_h) + a.win_w - 1) * D;
        mine[i * threads] = query.dot(rel) * kLog2E;
      }
    int ky = 0, kx = 0;
#pragma unroll 1
    for (int key = 0; key < a.tokens; key += kAtOnce) {
      float s[kAtOnce];
      query.dots(s, keys + key * D);
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        if (key + j >= a.tokens) {
          s[j] = -__builtin_inff();
          continue;
        }
        s[j] *= a.scale2;
        if (a.rel_h) s[j] += mine[ky * threads] + mine[(a.win_h + kx) * threads];
        if (a.bias) s[j] += positions[distance(y, ky) * a.win_w + distance(x, kx)];
        if (++kx == a.win_w) {
          kx = 0;
          ++ky;
        }
      }
      query.add(s, values + key * D);
    }
    if (T* const to = a.out(unit, t)) query.store(to);
    if (a.lse) a.lse[unit * a.tokens + t] = query.lse();
  }
}

template <class T>
void run(const WindowAttention& args) {
  const Windows<T> a(args);
  if (a.units == 0) return;
  with_usual_head(a.d, [&](auto d) {
    launch(attend<T, d()>, dim3(static_cast<unsigned>(a.units)), dim3(static_cast<unsigned>(threads(a))),
           shared_bytes(a), a);
  });
}

}  // namespace

bool takes_windows_in_shared(const WindowAttention& a) {
  return is_usual_head(a.d) && is_aligned(a) && !(a.rel_h && a.bias) &&
         shared_bytes(Windows<float>(a)) <= shared_per_block();
}

void window_in_shared(const WindowAttention& a) {
  a.dtype == DType::bf16 ? run<bf16>(a) : run<float>(a);
}

}  // namespace bp::cuda::windowed
