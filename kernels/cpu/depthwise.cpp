// Depthwise 3x3 convolution with padding 1. A tile of neighbouring outputs shares the loads of weights and,
// at stride 1, of inputs; the vectors run over channels. Pixels outside the image point at a row of zeros, so
// all tiles are alike.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

constexpr int kTile = 4;  // outputs per tile

i64 out_size(i64 in, i64 stride) {
  return (in - 1) / stride + 1;
}

// `tile` outputs of one row from the 3 x ((tile - 1) stride + 3) input pixels that `pixels` lists row by row.
template <int tile, int stride, class T>
void outputs(const T* const* pixels, const T* weight, const T* bias, T* y, i64 channels, k::Act act) {
  constexpr int cols = (tile - 1) * stride + 3;
  const auto vector = [&](i64 i, auto get, auto put) {
    vf sum[tile];
    for (int t = 0; t < tile; ++t) sum[t] = bias ? get(bias + i) : vf{};
    for (int ky = 0; ky < 3; ++ky) {
      vf x[cols];
      for (int j = 0; j < cols; ++j) x[j] = get(pixels[ky * cols + j] + i);
      for (int kx = 0; kx < 3; ++kx) {
        const vf w = get(weight + (ky * 3 + kx) * channels + i);
        for (int t = 0; t < tile; ++t) sum[t] += x[t * stride + kx] * w;
      }
    }
    for (int t = 0; t < tile; ++t) put(y + t * channels + i, activate(act, sum[t]));
  };
  i64 i = 0;
  for (; i + kLanes <= channels; i += kLanes)
    vector(
        i, [](const T* p) { return load(p); }, [](T* p, vf v) { store(p, v); });
  const i64 left = channels - i;
  if (left)
    vector(
        i, [&](const T* p) { return load_part(p, left); }, [&](T* p, vf v) { store_part(p, v, left); });
}

template <int tile, int stride, class T>
void output_tile(const k::Depthwise& p, const T* image, const T* zeros, i64 oy, i64 ox, T* y) {
  constexpr int cols = (tile - 1) * stride + 3;
  const T* pixels[3 * cols];
  for (int r = 0; r < 3; ++r)
    for (int j = 0; j < cols; ++j) {
      const i64 iy = oy * stride + r - 1, ix = ox * stride + j - 1;
      const bool inside = iy >= 0 && iy < p.h && ix >= 0 && ix < p.w;
      pixels[r * cols + j] = inside ? image + (iy * p.w + ix) * p.c : zeros;
    }
  outputs<tile, stride>(pixels, static_cast<const T*>(p.weight), static_cast<const T*>(p.bias), y, p.c,
                        p.act);
}

template <class T>
T* row_of_zeros(i64 n) {
  T* zeros = scratch<T>(0, n);
  for (i64 i = 0; i < n; ++i) zeros[i] = T{};
  return zeros;
}

template <int stride, class T>
void forward(const k::Depthwise& p) {
  const i64 oh = out_size(p.h, stride), ow = out_size(p.w, stride);
  const T *x = static_cast<const T*>(p.x), *zeros = row_of_zeros<T>(p.c);
  T* y = static_cast<T*>(p.y);
  parallel_for(p.n * oh, std::max<i64>(1, 16384 / (ow * p.c)), [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      const T* image = x + row / oh * p.h * p.w * p.c;
      T* to = y + row * ow * p.c;
      i64 ox = 0;
      for (; ox + kTile <= ow; ox += kTile)
        output_tile<kTile, stride>(p, image, zeros, row % oh, ox, to + ox * p.c);
      for (; ox < ow; ++ox) output_tile<1, stride>(p, image, zeros, row % oh, ox, to + ox * p.c);
    }
  });
}

template <class T>
void run(const k::Depthwise& p) {
  p.stride == 1 ? forward<1, T>(p) : forward<2, T>(p);
}

// At stride 1 the input's gradient is the convolution of dy with the weight turned by 180 degrees.
template <class T>
void input_gradient_1(const k::DepthwiseBackward& p) {
  const T* weight = static_cast<const T*>(p.weight);
  T* turned = scratch<T>(1, 9 * p.c);
  for (i64 tap = 0; tap < 9; ++tap)
    for (i64 i = 0; i < p.c; ++i) turned[tap * p.c + i] = weight[(8 - tap) * p.c + i];
  forward<1, T>({p.dy, turned, nullptr, p.dx, p.n, p.h, p.w, p.c, 1, k::Act::none, p.dtype});
}

// At stride 2 each input pixel collects from the one to four outputs that saw it.
template <class T>
void input_gradient_2(const k::DepthwiseBackward& p) {
  constexpr i64 stride = 2;
  const i64 oh = out_size(p.h, stride), ow = out_size(p.w, stride), c = p.c;
  const T *weight = static_cast<const T*>(p.weight), *dy = static_cast<const T*>(p.dy);
  T* dx = static_cast<T*>(p.dx);
  parallel_for(p.n * p.h, std::max<i64>(1, 16384 / (p.w * c)), [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      const i64 iy = row % p.h, image = row / p.h;
      for (i64 ix = 0; ix < p.w; ++ix) {
        const T *from[4], *taps[4];
        int n = 0;
        for (i64 ky = (iy + 1) % stride; ky < 3; ky += stride)
          for (i64 kx = (ix + 1) % stride; kx < 3; kx += stride) {
            const i64 oy = (iy + 1 - ky) / stride, ox = (ix + 1 - kx) / stride;
            if (oy >= oh || ox >= ow) continue;
            from[n] = dy + ((image * oh + oy) * ow + ox) * c;
            taps[n++] = weight + (ky * 3 + kx) * c;
          }
        T* to = dx + (row * p.w + ix) * c;
        i64 i = 0;
        for (; i + kLanes <= c; i += kLanes) {
          vf sum{};
          for (int t = 0; t < n; ++t) sum += load(from[t] + i) * load(taps[t] + i);
          store(to + i, sum);
        }
        for (; i < c; ++i) {
          float sum = 0;
          for (int t = 0; t < n; ++t) sum += to_f32(from[t][i]) * to_f32(taps[t][i]);
          to[i] = from_f32<T>(sum);
        }
      }
    }
  });
}

// Adds the products of one output row with the three input rows around it to sums [9][c].
template <class T>
void add_weight_gradient(const k::DepthwiseBackward& p, const T* image, const T* dy, i64 oy, float* sums) {
  const i64 ow = out_size(p.w, p.stride), c = p.c;
  const auto vector = [&](i64 i, auto get, auto get_sum, auto put_sum) {
    for (i64 ky = 0; ky < 3; ++ky) {
      const i64 iy = oy * p.stride + ky - 1;
      if (iy < 0 || iy >= p.h) continue;
      const T* x = image + iy * p.w * c + i;
      float* to = sums + ky * 3 * c + i;
      vf left = get_sum(to), middle = get_sum(to + c), right = get_sum(to + 2 * c);
      for (i64 ox = 0; ox < ow; ++ox) {
        const i64 ix = ox * p.stride;
        const vf d = get(dy + ox * c + i);
        if (ix > 0) left += d * get(x + (ix - 1) * c);
        middle += d * get(x + ix * c);
        if (ix + 1 < p.w) right += d * get(x + (ix + 1) * c);
      }
      put_sum(to, left);
      put_sum(to + c, middle);
      put_sum(to + 2 * c, right);
    }
  };
  i64 i = 0;
  for (; i + kLanes <= c; i += kLanes)
    vector(
        i, [](const T* q) { return load(q); }, [](const float* q) { return load(q); },
        [](float* q, vf v) { store(q, v); });
  const i64 rest = c - i;
  if (rest)
    vector(
        i, [&](const T* q) { return load_part(q, rest); }, [&](const float* q) { return load_part(q, rest); },
        [&](float* q, vf v) { store_part(q, v, rest); });
}

template <class T>
void weight_gradient(const k::DepthwiseBackward& p) {
  const i64 oh = out_size(p.h, p.stride), ow = out_size(p.w, p.stride), taps = 9 * p.c, rows = p.n * oh;
  const i64 chunk = std::max<i64>(4, (rows + 63) / 64), chunks = (rows + chunk - 1) / chunk;
  float* const partial = scratch<float>(0, chunks * taps);
  const T *x = static_cast<const T*>(p.x), *dy = static_cast<const T*>(p.dy);
  parallel_for(chunks, 1, [&](i64 first, i64 last) {
    for (i64 k = first; k < last; ++k) {
      float* sums = partial + k * taps;
      for (i64 i = 0; i < taps; ++i) sums[i] = 0;
      for (i64 row = k * chunk; row < std::min(rows, (k + 1) * chunk); ++row)
        add_weight_gradient(p, x + row / oh * p.h * p.w * p.c, dy + row * ow * p.c, row % oh, sums);
    }
  });
  T* dweight = static_cast<T*>(p.dweight);
  for (i64 i = 0; i < taps; ++i) {
    float total = 0;
    for (i64 k = 0; k < chunks; ++k) total += partial[k * taps + i];
    dweight[i] = from_f32<T>(total);
  }
}

template <class T>
void run(const k::DepthwiseBackward& p) {
  if (p.dx) p.stride == 1 ? input_gradient_1<T>(p) : input_gradient_2<T>(p);
  if (p.dweight) weight_gradient<T>(p);
}

}  // namespace

void depthwise(const k::Depthwise& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void depthwise_backward(const k::DepthwiseBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
