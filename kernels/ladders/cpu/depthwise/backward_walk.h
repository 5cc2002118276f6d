// Gradients of a row of inputs in vectors of channels. Included inside a level's namespace, after
// kernels/cpu/simd.h (vf is a vector of kLanes floats) and unrolled.h.
//
// Input (iy, ix) and output ((iy + 1 - ky) / stride, (ix + 1 - kx) / stride) meet in both gradients:
//   dx[iy][ix] += dy * weight[ky][kx],  dweight[ky][kx] += x[iy][ix] * dy,
// so one walk along the inputs with a sliding window of dy serves both.

namespace {

template <int stride, bool wants_dx, bool wants_dweight, class T>
struct BackwardWalk {
  const T* rows[3];  // of dy, that tap row ky connects with this row of inputs; null where none
  const T* x;        // the row of inputs
  T* dx;
  i64 width, out_width, c;

  struct Column {
    vf dy[3];
  };
  BP_INLINE Column column(i64 ox, i64 i, i64 n) const {
    Column a;
    unrolled<3>(
        [&](auto ky) { a.dy[ky] = rows[ky] && ox < out_width ? load(rows[ky] + ox * c + i, n) : vf{}; });
    return a;
  }

  struct Taps {
    vf of[9];
  };
  // What an input and a column of dy that meet through taps (., kx) add to both gradients.
  template <int kx>
  BP_INLINE void take(const Column& a, vf in, const Taps& w, vf& out, Taps& g) const {
    unrolled<3>([&](auto ky) {
      if (stride > 1 && !rows[ky]) return;
      if (wants_dx) out += a.dy[ky] * w.of[ky * 3 + kx];
      if (wants_dweight) g.of[ky * 3 + kx] += in * a.dy[ky];
    });
  }

  // For one vector of n channels from i on; sums [9][c] of dweight.
  BP_INLINE void run(const T* weight, float* sums, i64 i, i64 n) const {
    Taps w{}, g{};
    unrolled<9>([&](auto tap) {
      if (wants_dx) w.of[tap] = load(weight + tap * c + i, n);
      if (wants_dweight) g.of[tap] = load(sums + tap * c + i, n);
    });
    const auto input = [&](i64 ix) { return wants_dweight ? load(x + ix * c + i, n) : vf{}; };
    const auto put = [&](i64 ix, vf out) {
      if (wants_dx) store(dx + ix * c + i, out, n);
    };
    Column here = column(0, i, n);
    if constexpr (stride == 1) {
      Column before{};
      for (i64 ix = 0; ix < width; ++ix) {
        const Column next = column(ix + 1, i, n);
        const vf in = input(ix);
        vf out{};
        take<0>(next, in, w, out, g);
        take<1>(here, in, w, out, g);
        take<2>(before, in, w, out, g);
        put(ix, out);
        before = here;
        here = next;
      }
    } else {
      for (i64 ix = 0; ix < width; ix += 2) {
        vf out{};
        take<1>(here, input(ix), w, out, g);
        put(ix, out);
        if (ix + 1 == width) break;
        const Column next = column(ix / 2 + 1, i, n);
        const vf in = input(ix + 1);
        out = vf{};
        take<2>(here, in, w, out, g);
        take<0>(next, in, w, out, g);
        put(ix + 1, out);
        here = next;
      }
    }
    if (wants_dweight) unrolled<9>([&](auto tap) { store(sums + tap * c + i, g.of[tap], n); });
  }
};

template <int stride, bool wants_dx, bool wants_dweight, class T>
void walk_rows(const k::DepthwiseBackward& p, i64 begin, i64 end, float* sums) {
  const i64 oh = (p.h - 1) / stride + 1, ow = (p.w - 1) / stride + 1;
  for (i64 row = begin; row < end; ++row) {
    BackwardWalk<stride, wants_dx, wants_dweight, T> walk;
    for (int ky = 0; ky < 3; ++ky) {
      const i64 y = row % p.h + 1 - ky;
      const bool seen = y >= 0 && y % stride == 0 && y / stride < oh;
      walk.rows[ky] = seen ? static_cast<const T*>(p.dy) + (row / p.h * oh + y / stride) * ow * p.c : nullptr;
    }
    walk.x = static_cast<const T*>(p.x) + row * p.w * p.c;
    walk.dx = static_cast<T*>(p.dx) + (wants_dx ? row * p.w * p.c : 0);
    walk.width = p.w;
    walk.out_width = ow;
    walk.c = p.c;
    each_vector(
        p.c, [&](i64 i, i64 n)
                 __attribute__((always_inline)) { walk.run(static_cast<const T*>(p.weight), sums, i, n); });
  }
}

// Rows of inputs [begin, end), both gradients in one walk where both are wanted.
template <class T>
void walk_rows(const k::DepthwiseBackward& p, i64 begin, i64 end, float* sums) {
  const auto with = [&](auto dx, auto dweight) {
    p.stride == 1 ? walk_rows<1, dx, dweight, T>(p, begin, end, sums)
                  : walk_rows<2, dx, dweight, T>(p, begin, end, sums);
  };
  if (p.dx && p.dweight) return with(std::true_type{}, std::true_type{});
  if (p.dx) with(std::true_type{}, std::false_type{});
  if (p.dweight) with(std::false_type{}, std::true_type{});
}

}  // namespace
