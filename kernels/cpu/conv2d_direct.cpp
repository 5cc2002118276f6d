// Convolutions to one output channel: as products they would fill one column of a tile of 32. A row of a
// patch is a run of kw * c neighbours in the image, and so is a row of the weight, so the forward is a dot
// product of three runs or so, and the weight's gradient adds runs times one dy.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/conv2d_direct.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kMaxTaps = 25;  // of a kernel
constexpr int kTogether = 4;  // outputs that share the loads of weights or sums

template <class P>
struct Geometry {
  const P& p;
  i64 oh = (p.h + 2 * p.pad - p.kh) / p.stride + 1, ow = (p.w + 2 * p.pad - p.kw) / p.stride + 1;
  i64 run = p.kw * p.c;

  // Calls one(ox) and several(ox) for the outputs of a row, the latter for kTogether at once whose patches
  // stick out neither left nor right.
  template <class One, class Several>
  BP_INLINE void each_output(One one, Several several) const {
    i64 ox = 0;
    while (ox < ow) {
      const i64 last = (ox + kTogether - 1) * p.stride - p.pad + p.kw;
      if (ox * p.stride >= p.pad && last <= p.w && ox + kTogether <= ow)
        several(ox), ox += kTogether;
      else
        one(ox++);
    }
  }
  // The part [first, last) of a run that lies in the image where the patch begins at column ix.
  BP_INLINE i64 first(i64 ix) const { return std::clamp<i64>(-ix, 0, p.kw) * p.c; }
  BP_INLINE i64 last(i64 ix) const { return std::clamp<i64>(p.w - ix, 0, p.kw) * p.c; }

  // Calls f(ky, row of the image) for the rows of output oy's patches that lie in the image.
  template <class F>
  BP_INLINE void each_row(i64 oy, F f) const {
    for (i64 ky = 0; ky < p.kh; ++ky) {
      const i64 iy = oy * p.stride - p.pad + ky;
      if (iy >= 0 && iy < p.h) f(ky, iy);
    }
  }
};
template <class P>
Geometry(const P&) -> Geometry<P>;

template <class T>
void run(const k::Conv2d& p) {
  const Geometry g{p};
  const T *weight = static_cast<const T*>(p.weight), *bias = static_cast<const T*>(p.bias);
  const float start = bias ? to_f32(*bias) : 0.0f;
  parallel_for(p.n * g.oh, std::max<i64>(1, 65536 / (g.ow * p.kh * g.run)), [&](i64 begin, i64 end) {
    float* const sums = scratch<float>(4, g.ow);
    for (i64 row = begin; row < end; ++row) {
      const T* const image = static_cast<const T*>(p.x) + row / g.oh * p.h * p.w * p.c;
      const i64 oy = row % g.oh;
      const auto one = [&](i64 ox) {
        const i64 ix = ox * p.stride - p.pad, from = g.first(ix);
        vf s{};
        g.each_row(oy, [&](i64 ky, i64 iy) {
          const T *x = image + (iy * p.w + ix) * p.c + from, *w = weight + ky * g.run + from;
          each_vector(g.last(ix) - from, [&](i64 i, i64 n) { s += load(x + i, n) * load(w + i, n); });
        });
        sums[ox] = start + sum_lanes(s);
      };
      const auto several = [&](i64 ox) {
        vf s[kTogether] = {};
        g.each_row(oy, [&](i64 ky, i64 iy) {
          const T *x = image + (iy * p.w + ox * p.stride - p.pad) * p.c, *w = weight + ky * g.run;
          each_vector(g.run, [&](i64 i, i64 n) {
            const vf tap = load(w + i, n);
            for (int t = 0; t < kTogether; ++t) s[t] += load(x + t * p.stride * p.c + i, n) * tap;
          });
        });
        for (int t = 0; t < kTogether; ++t) sums[ox + t] = start + sum_lanes(s[t]);
      };
      g.each_output(one, several);
      T* const y = static_cast<T*>(p.y) + row * g.ow;
      each_vector(g.ow, [&](i64 i, i64 n) { store(y + i, activate(p.act, load(sums + i, n)), n); });
    }
  });
}

// Each input collects weight dy from the outputs that saw it.
template <class T>
void input_gradient(const k::Conv2dBackward& p) {
  const Geometry g{p};
  const T *weight = static_cast<const T*>(p.weight), *dy = static_cast<const T*>(p.dy);
  parallel_for(p.n * p.h, std::max<i64>(1, 65536 / (p.w * p.kh * g.run)), [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      const i64 iy = row % p.h;
      for (i64 ix = 0; ix < p.w; ++ix) {
        const T* taps[kMaxTaps];
        float seen[kMaxTaps];
        int count = 0;
        for (i64 ky = 0; ky < p.kh; ++ky)
          for (i64 kx = 0; kx < p.kw; ++kx) {
            const i64 y = iy + p.pad - ky, x = ix + p.pad - kx;
            if (y < 0 || x < 0 || y % p.stride != 0 || x % p.stride != 0) continue;
            const i64 oy = y / p.stride, ox = x / p.stride;
            if (oy >= g.oh || ox >= g.ow) continue;
            taps[count] = weight + ky * g.run + kx * p.c;
            seen[count++] = to_f32(dy[(row / p.h * g.oh + oy) * g.ow + ox]);
          }
        T* const to = static_cast<T*>(p.dx) + (row * p.w + ix) * p.c;
        each_vector(p.c, [&](i64 i, i64 n) {
          vf sum{};
          for (int t = 0; t < count; ++t) sum += seen[t] * load(taps[t] + i, n);
          store(to + i, sum, n);
        });
      }
    }
  });
}

// Sums over chunks of rows that depend on the shape alone, added in order.
template <class T>
void weight_gradient(const k::Conv2dBackward& p) {
  const Geometry g{p};
  const T* const dy = static_cast<const T*>(p.dy);
  const i64 rows = p.n * g.oh, size = p.kh * g.run, chunk = std::max<i64>(4, (rows + 63) / 64),
            chunks = (rows + chunk - 1) / chunk;
  float* const partial = scratch<float>(0, chunks * size);
  parallel_for(chunks, 1, [&](i64 begin, i64 end) {
    std::fill(partial + begin * size, partial + end * size, 0.0f);
    for (i64 row = begin * chunk; row < std::min(rows, end * chunk); ++row) {
      float* const sums = partial + row / chunk * size;
      const T *image = static_cast<const T*>(p.x) + row / g.oh * p.h * p.w * p.c, *d = dy + row * g.ow;
      const i64 oy = row % g.oh;
      const auto one = [&](i64 ox) {
        const i64 ix = ox * p.stride - p.pad, from = g.first(ix);
        const float seen = to_f32(d[ox]);
        g.each_row(oy, [&](i64 ky, i64 iy) {
          const T* const x = image + (iy * p.w + ix) * p.c + from;
          float* const to = sums + ky * g.run + from;
          each_vector(g.last(ix) - from,
                      [&](i64 i, i64 n) { store(to + i, load(to + i, n) + seen * load(x + i, n), n); });
        });
      };
      const auto several = [&](i64 ox) {
        float seen[kTogether];
        for (int t = 0; t < kTogether; ++t) seen[t] = to_f32(d[ox + t]);
        g.each_row(oy, [&](i64 ky, i64 iy) {
          const T* const x = image + (iy * p.w + ox * p.stride - p.pad) * p.c;
          float* const to = sums + ky * g.run;
          each_vector(g.run, [&](i64 i, i64 n) {
            vf sum = load(to + i, n);
            for (int t = 0; t < kTogether; ++t) sum += seen[t] * load(x + t * p.stride * p.c + i, n);
            store(to + i, sum, n);
          });
        });
      };
      g.each_output(one, several);
    }
  });
  T* const dweight = static_cast<T*>(p.dweight);
  each_vector(size, [&](i64 i, i64 n) {
    vf total{};
    for (i64 k = 0; k < chunks; ++k) total += load(partial + k * size + i, n);
    store(dweight + i, total, n);
  });
}

template <class T>
void run(const k::Conv2dBackward& p) {
  if (p.dx) input_gradient<T>(p);
  if (p.dweight) weight_gradient<T>(p);
}

template <class P>
bool direct(const P& p) {
  if (p.o != 1 || p.kh * p.kw > kMaxTaps) return false;
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
  return true;
}

}  // namespace

bool conv2d_direct(const k::Conv2d& p) {
  return direct(p);
}
bool conv2d_direct(const k::Conv2dBackward& p) {
  return direct(p);
}
#include "kernels/cpu/isa_end.h"
