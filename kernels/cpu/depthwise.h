// What forward and backward of the depthwise convolution share: tiles of neighbouring pixels, whose channels
// are walked over in vectors. Included inside a level's namespace, after simd.h and unrolled.h.

namespace {

// A tile is kTileRows x kTileCols outputs (of the forward) or inputs (of the backward). Its sums and the nine
// weights stay in registers, of which AVX-512 has 32 and the others 16.
constexpr int kTileRows = BP_ISA_LEVEL == 512 ? 4 : 2, kTileCols = 2;

// Rows of a map, cut by the shape alone. A block of rows is one task; within it strips of columns are walked
// downwards, so that the rows that two tiles share are in the second-level cache still.
struct Blocks {
  i64 images, rows, cols, block, per_image, strip;
  Blocks(i64 n, i64 h, i64 w, i64 c)
      : images(n),
        rows(h),
        cols(w),
        block(std::clamp(n * h / 16 / kTileRows * kTileRows, i64{kTileRows}, i64{32})),
        per_image((h + block - 1) / block),
        strip(std::max<i64>(kTileCols, 16384 / c / kTileCols * kTileCols)) {}
  i64 count() const { return images * per_image; }

  // Calls tile(image, row, col) for the tiles of block k.
  template <class F>
  BP_INLINE void each_tile(i64 k, F tile) const {
    const i64 first = k % per_image * block, last = std::min(rows, first + block);
    for (i64 left = 0; left < cols; left += strip)
      for (i64 row = first; row < last; row += kTileRows)
        for (i64 col = left; col < std::min(cols, left + strip); col += kTileCols)
          tile(k / per_image, row, col);
  }
};

// Pointers to the pixels of a window of `height` x `width`.
template <int height, int width, class T>
struct Window {
  T* at[height][width];

  // pixel(row, column) of each.
  template <class F>
  BP_INLINE explicit Window(const F& pixel) {
    for (int r = 0; r < height; ++r)
      for (int t = 0; t < width; ++t) at[r][t] = pixel(r, t);
  }
  // The first is (y, x) of a map [h,w,c]; pixels outside of the map point at `outside`.
  BP_INLINE Window(T* map, i64 h, i64 w, i64 c, i64 y, i64 x, T* outside)
      : Window([&](int r, int t) {
          const bool inside = y + r >= 0 && y + r < h && x + t >= 0 && x + t < w;
          return inside ? map + ((y + r) * w + x + t) * c : outside;
        }) {}
};

}  // namespace
