// The forward's tile of the depthwise convolution: inputs and outputs are windows of pointers to pixels, so
// that they may lie in an image or in a ring of rows. Included inside a level's namespace, after depthwise.h.

namespace {

template <int stride>
constexpr int inputs_across(int outputs) {
  return (outputs - 1) * stride + 3;
}

template <int stride, class T>
using Inputs = Window<inputs_across<stride>(kTileRows), inputs_across<stride>(kTileCols), const T>;
template <class T>
using Outputs = Window<kTileRows, kTileCols, T>;

constexpr int kOutputs = kTileRows * kTileCols;
struct Sums {
  vf of[kOutputs];
};

// The sums of a tile for the vector of n channels from i on.
template <int stride, class T>
BP_INLINE Sums convolve(const Inputs<stride, T>& x, const k::Depthwise& p, i64 i, i64 n) {
  const T *weight = static_cast<const T*>(p.weight) + i, *bias = static_cast<const T*>(p.bias);
  const vf start = bias ? load(bias + i, n) : vf{};
  vf w[9];
  unrolled<9>([&](auto tap) __attribute__((always_inline)) { w[tap] = load(weight + tap * p.c, n); });
  constexpr int kTall = inputs_across<stride>(kTileRows), kWide = inputs_across<stride>(kTileCols);
  Sums sums;
  unrolled<kOutputs>([&](auto o) __attribute__((always_inline)) { sums.of[o] = start; });
  unrolled<kTall * kWide * kOutputs>([&](auto j) __attribute__((always_inline)) {
    constexpr int in = j / kOutputs, iy = in % kTall, ix = in / kTall;
    constexpr int o = j % kOutputs, ky = iy - o / kTileCols * stride, kx = ix - o % kTileCols * stride;
    if constexpr (ky >= 0 && ky < 3 && kx >= 0 && kx < 3)
      sums.of[o] += load(x.at[iy][ix] + i, n) * w[ky * 3 + kx];
  });
  return sums;
}

// `bias + sums` of a tile to `to`, past the caches if wanted.
template <int stride, class T, class To>
void convolve_tile(const Inputs<stride, T>& x, const Outputs<To>& to, const k::Depthwise& p,
                   bool past_caches) {
  each_vector(
      p.c, [&](i64 i, i64 n) __attribute__((always_inline)) {
        const Sums sums = convolve<stride, T>(x, p, i, n);
        const auto each = [&](auto put) __attribute__((always_inline)) {
          unrolled<kOutputs>([&](auto o) __attribute__((always_inline)) {
            put(to.at[o / kTileCols][o % kTileCols] + i, sums.of[o]);
          });
        };
        if (past_caches)
          each([](To * y, vf v) __attribute__((always_inline)) { store_past(y, v); });
        else
          each([&](To * y, vf v) __attribute__((always_inline)) { store(y, v, n); });
      });
}

// What convolve_tile() left in `sums` [kOutputs,c], activated. A loop of its own: with the activation's
// constants beside them, a tile's sums would not fit in registers.
template <class T>
void activate_tile(const float* sums, const Outputs<T>& y, const k::Depthwise& p, bool past_caches) {
  for (int o = 0; o < kOutputs; ++o, sums += p.c) {
    T* const to = y.at[o / kTileCols][o % kTileCols];
    if (past_caches)
      for (i64 i = 0; i < p.c; i += kLanes) store_past(to + i, cpu::BP_ISA::activate(p.act, load(sums + i)));
    else
      each_vector(p.c,
                  [&](i64 i, i64 n) { store(to + i, cpu::BP_ISA::activate(p.act, load(sums + i, n)), n); });
  }
}

}  // namespace
