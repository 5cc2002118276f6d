// Rows of a depthwise convolution in vectors of channels. Included inside a level's namespace, after
// kernels/cpu/simd.h (vf is a vector of kLanes floats) and unrolled.h.

namespace {

// A walk along a row: kOut neighbouring rows of outputs from the kIn rows of inputs that they see, for one
// vector of n channels from i on. The nine weights and the sums of the outputs that see the present column
// stay in registers; a column's kIn inputs are loaded once.
template <int stride, int kOut, class T>
struct Walk {
  static constexpr int kIn = (kOut - 1) * stride + 3;
  const T* rows[kIn];  // null outside of the image
  T* outputs[kOut];
  i64 width, c;  // of the inputs; channels
  k::Act act;

  struct Column {
    vf x[kIn];
  };
  struct Sums {
    vf of[kOut];
  };
  struct Weights {
    vf of[9];
  };
  BP_INLINE Column column(i64 ix, i64 i, i64 n) const {
    Column a;
    unrolled<kIn>([&](auto r) { a.x[r] = rows[r] ? load(rows[r] + ix * c + i, n) : vf{}; });
    return a;
  }
  template <int kx>
  BP_INLINE static void add(Sums& sums, const Column& a, const Weights& w) {
    unrolled<kOut>([&](auto o) {
      unrolled<3>([&](auto ky) { sums.of[o] += a.x[o * stride + ky] * w.of[ky * 3 + kx]; });
    });
  }
  BP_INLINE void finish(const Sums& sums, i64 ox, i64 i, i64 n) const {
    unrolled<kOut>([&](auto o) { store(outputs[o] + ox * c + i, activate(act, sums.of[o]), n); });
  }

  BP_INLINE void run(const T* weight, const T* bias, i64 i, i64 n) const {
    Weights w;
    unrolled<9>([&](auto tap) { w.of[tap] = load(weight + tap * c + i, n); });
    Sums start;
    unrolled<kOut>([&](auto o) { start.of[o] = bias ? load(bias + i, n) : vf{}; });
    if constexpr (stride == 1) {
      Sums left = start, middle = start;  // outputs ix - 1 and ix
      for (i64 ix = 0; ix < width; ++ix) {
        const Column a = column(ix, i, n);
        Sums right = start;
        add<2>(left, a, w);
        add<1>(middle, a, w);
        add<0>(right, a, w);
        if (ix > 0) finish(left, ix - 1, i, n);
        left = middle;
        middle = right;
      }
      finish(left, width - 1, i, n);
    } else {
      Sums sums = start;
      for (i64 ix = 0; ix < width; ix += 2) {
        add<1>(sums, column(ix, i, n), w);
        Sums next = start;
        if (ix + 1 < width) {
          const Column a = column(ix + 1, i, n);
          add<2>(sums, a, w);
          add<0>(next, a, w);
        }
        finish(sums, ix / 2, i, n);
        sums = next;
      }
    }
  }
};

// Rows oy .. oy + kOut of an image's outputs.
template <int stride, int kOut, class T>
void convolve_rows(const k::Depthwise& p, i64 image, i64 oy) {
  const i64 oh = (p.h - 1) / stride + 1, ow = (p.w - 1) / stride + 1;
  Walk<stride, kOut, T> walk;
  walk.width = p.w;
  walk.c = p.c;
  walk.act = p.act;
  for (int r = 0; r < walk.kIn; ++r) {
    const i64 iy = oy * stride + r - 1;
    walk.rows[r] =
        iy < 0 || iy >= p.h ? nullptr : static_cast<const T*>(p.x) + (image * p.h + iy) * p.w * p.c;
  }
  for (int o = 0; o < kOut; ++o) walk.outputs[o] = static_cast<T*>(p.y) + (image * oh + oy + o) * ow * p.c;
  each_vector(
      p.c, [&](i64 i, i64 n) __attribute__((always_inline)) {
        walk.run(static_cast<const T*>(p.weight), static_cast<const T*>(p.bias), i, n);
      });
}

}  // namespace
