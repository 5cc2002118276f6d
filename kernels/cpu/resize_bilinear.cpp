// Bilinear resize: output row by output row, first the two input rows into one (contiguous), then along the
// row.
#include <algorithm>
#include <utility>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

// Where an output index falls between two input indices: (1 - weight) in[low] + weight in[high].
struct Tap {
  std::int32_t low, high;
  float weight;
};

Tap tap(i64 out, i64 in_size, i64 out_size) {
  const double ratio = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double at = std::max(0.0, (static_cast<double>(out) + 0.5) * ratio - 0.5);
  const i64 low = std::min(static_cast<i64>(at), in_size - 1), high = std::min(low + 1, in_size - 1);
  return {static_cast<std::int32_t>(low), static_cast<std::int32_t>(high),
          static_cast<float>(at - static_cast<double>(low))};
}

const Tap* taps_of(int slot, i64 in_size, i64 out_size) {
  Tap* taps = scratch<Tap>(slot, out_size);
  for (i64 i = 0; i < out_size; ++i) taps[i] = tap(i, in_size, out_size);
  return taps;
}

// to = a (1 - weight) + b weight
template <class T, class To>
BP_INLINE void blend(const T* a, const T* b, float weight, To* to, i64 n) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const vf from = load(a + i);
    store(to + i, from + (load(b + i) - from) * weight);
  }
  for (; i < n; ++i) to[i] = from_f32<To>(to_f32(a[i]) + (to_f32(b[i]) - to_f32(a[i])) * weight);
}

// to += x weight
template <class T>
BP_INLINE void add(const T* x, float weight, float* to, i64 n) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load(to + i) + load(x + i) * weight);
  for (; i < n; ++i) to[i] += to_f32(x[i]) * weight;
}

// One input row, resized along its length.
template <class T>
void resize_row(const T* x, const Tap* cols, i64 out_size, i64 channels, float* y) {
  if (channels == 1) {
    for (i64 i = 0; i < out_size; ++i) {
      const float a = to_f32(x[cols[i].low]), b = to_f32(x[cols[i].high]);
      y[i] = a + (b - a) * cols[i].weight;
    }
    return;
  }
  for (i64 i = 0; i < out_size; ++i)
    blend(x + cols[i].low * channels, x + cols[i].high * channels, cols[i].weight, y + i * channels,
          channels);
}

template <class T>
void run(const k::ResizeBilinear& p) {
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  const i64 in_row = p.w * p.c, out_row = p.ow * p.c;
  const Tap *rows = taps_of(0, p.h, p.oh), *cols = taps_of(1, p.w, p.ow);
  // When enlarging, several output rows lie between the same two input rows, which stay in `upper` and
  // `lower`.
  parallel_for(p.n * p.oh, std::max<i64>(16, 16384 / out_row), [&](i64 begin, i64 end) {
    float *upper = scratch<float>(4, out_row), *lower = scratch<float>(5, out_row);
    i64 in_upper = -1, in_lower = -1;  // which rows of x they hold
    for (i64 item = begin; item < end; ++item) {
      const Tap r = rows[item % p.oh];
      const i64 image = item / p.oh * p.h;
      if (image + r.low == in_lower) {
        std::swap(upper, lower);
        std::swap(in_upper, in_lower);
      }
      const auto fill_with = [&](i64 row, float* to, i64& in) {
        if (in != row) resize_row(x + row * in_row, cols, p.ow, p.c, to);
        in = row;
      };
      fill_with(image + r.low, upper, in_upper);
      fill_with(image + r.high, lower, in_lower);
      blend(upper, lower, r.weight, y + item * out_row, out_row);
    }
  });
}

// Each input row collects from the output rows around it, so rows are independent.
template <class T>
void run(const k::ResizeBilinearBackward& p) {
  const T* dy = static_cast<const T*>(p.dy);
  T* dx = static_cast<T*>(p.dx);
  const i64 in_row = p.w * p.c, out_row = p.ow * p.c;
  const Tap *rows = taps_of(0, p.h, p.oh), *cols = taps_of(1, p.w, p.ow);
  parallel_for(p.n * p.h, 1, [&](i64 begin, i64 end) {
    float* collected = scratch<float>(4, out_row);
    float* row = scratch<float>(5, in_row);
    for (i64 item = begin; item < end; ++item) {
      const i64 iy = item % p.h;
      const T* image = dy + item / p.h * p.oh * out_row;
      for (i64 i = 0; i < out_row; ++i) collected[i] = 0;
      for (i64 i = 0; i < in_row; ++i) row[i] = 0;
      for (i64 oy = 0; oy < p.oh; ++oy) {
        const Tap r = rows[oy];
        const float weight = (r.low == iy ? 1 - r.weight : 0) + (r.high == iy ? r.weight : 0);
        if (weight != 0) add(image + oy * out_row, weight, collected, out_row);
      }
      for (i64 i = 0; i < p.ow; ++i) {
        add(collected + i * p.c, 1 - cols[i].weight, row + cols[i].low * p.c, p.c);
        add(collected + i * p.c, cols[i].weight, row + cols[i].high * p.c, p.c);
      }
      for (i64 i = 0; i < in_row; ++i) dx[item * in_row + i] = from_f32<T>(row[i]);
    }
  });
}

}  // namespace

void resize_bilinear(const k::ResizeBilinear& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void resize_bilinear_backward(const k::ResizeBilinearBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
