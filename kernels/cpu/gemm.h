// The register tile that matmul and attention are built on. Included inside the level's namespace, after
// simd.h.
//
// A strip of up to kMR rows of A, stored row by row kAStride apart, times a panel of B, stored [k][kNR],
// gives a tile of C in registers. The stride is no multiple of 4096 bytes, which keeps the rows of a strip in
// different cache sets.

constexpr int kNV = 2;  // vectors per row of a tile
constexpr int kMR =
    BP_ISA_LEVEL == 512 ? 14 : 6;  // rows: accumulators, B and one broadcast fill the registers
constexpr int kNR = kNV * kLanes;  // columns of a panel
constexpr i64 kKC =
    BP_ISA_LEVEL == 512 ? 384 : 256;  // depth of a strip: it stays in L1 while panels stream by
constexpr i64 kAStride = kKC + 16;

// out[i][j] (+)= sum over k of a[i][k] b[k][j], for i < rows <= kMR and j < kNR (or only kLanes if half); k
// <= kKC for the strip layout to hold. `out` has row stride ld. accumulate adds to out, otherwise it is
// overwritten.
void tile(int rows, bool half, const float* a, const float* b, i64 k, float* out, i64 ld, bool accumulate);

// The same with rows of A lda apart and any k. Meanwhile it asks L1 for k * pace elements from `ahead` on, a
// few at a time, so that they do not hold up what the tile itself loads.
void tile_rows(int rows, bool half, const float* a, i64 lda, const float* b, i64 k, float* out, i64 ld,
               bool accumulate, const float* ahead, i64 pace);

// The same with A stored [k][lda] and rows of B ldb apart, where k may be anything.
void tile_columns(int rows, bool half, const float* a, i64 lda, const float* b, i64 ldb, i64 k, float* out,
                  i64 ld, bool accumulate);

// Calls f(height, 0) with rows <= kMR as a constant: tiles are compiled for every height, since windows of 49
// leave strips of 7, and cutting them into 4 + 2 + 1 leaves too few sums in flight.
template <int height = kMR, class F>
BP_INLINE void each_height(int rows, const F& f) {
  if (rows == height) return f(std::integral_constant<int, height>(), 0);
  if constexpr (height > 1) each_height<height - 1>(rows, f);
}

// Copies `rows` rows of n values from src (stride ld) into a strip, times scale. Columns beyond n are not
// written.
template <class T>
BP_INLINE void pack_rows(const T* src, i64 ld, int rows, i64 n, float scale, float* strip) {
  for (int i = 0; i < rows; ++i) {
    const T* from = src + i * ld;
    float* to = strip + i * kAStride;
    i64 j = 0;
    for (; j + kLanes <= n; j += kLanes) store(to + j, scale * load(from + j));
    for (; j < n; ++j) to[j] = scale * to_f32(from[j]);
  }
}

// Writes `rows` rows of n elements of op(A) op(B) to c as k::Matmul says: those of `from` lie ld apart and
// are readable to the end of their last vector; bias, residual and c point at the first element's place.
template <class T>
static void finish_rows(const k::Matmul& p, const float* from, i64 ld, i64 rows, i64 n, const T* bias,
                        const T* residual, T* c) {
  const float alpha = p.alpha;
  const k::Act act = p.act;
  const auto write = [&](auto f) {
    for (i64 r = 0; r < rows; ++r) {
      const float* const row = from + r * ld;
      const i64 at = r * p.ldc;
      each_vector(n,
                  [&](i64 i, i64 part) { store(c + at + i, f(alpha * load(row + i), at, i, part), part); });
    }
  };
  if (p.accumulate) return write([&](vf x, i64 at, i64 i, i64 part) { return x + load(c + at + i, part); });
  if (act == k::Act::none && !residual) {
    if (!bias) return write([](vf x, i64, i64, i64) { return x; });
    return write([&](vf x, i64, i64 i, i64 part) { return x + load(bias + i, part); });
  }
  write([&](vf x, i64 at, i64 i, i64 part) {
    if (bias) x += load(bias + i, part);
    x = activate(act, x);
    return residual ? x + load(residual + at + i, part) : x;
  });
}
template <class T>
static void finish_row(const k::Matmul& p, const float* from, i64 n, const T* bias, const T* residual, T* c) {
  finish_rows(p, from, 0, 1, n, bias, residual, c);
}

// The product with ta and without tb, for the same arguments as matmul, neither m nor n 0 (matmul_tn.cpp).
void matmul_tn(const k::Matmul& p);
void matmul_tn_f32(const k::Matmul& p);  // with C, bias and residual in f32 whatever A and B are

// The product with tb and without ta, for m <= kFewRows (matmul_few_rows.cpp).
constexpr i64 kFewRows = 8;
void matmul_few_rows(const k::Matmul& p);
