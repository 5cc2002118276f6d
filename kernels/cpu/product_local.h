// A product within one thread, whose rows lie in its second-level cache: for kernels that do several layers
// to a few rows. Included inside a level's namespace, after product_pack.h and product_tiles.h.

namespace {

constexpr i64 kGroup = i64{256} << 10;  // bytes of panels that all rows meet before the next

// A [m,k] times packed B [n,k], transposed.
template <class Tile, class T>
class LocalProduct {
 public:
  LocalProduct(i64 k, i64 n, const void* packed)
      : k_(k),
        n_(n),
        words_(words_of<Tile>(k)),
        panels_(blocks_of(n, kNR)),
        group_(std::clamp<i64>(kGroup / (4 * kNR * std::max<i64>(1, words_)), 1, panels_)),
        depth_(kInPlace && k <= 2 * kKC ? k : kKC * Tile::kPair),
        packed_(static_cast<const Word*>(packed)) {}

  // What operator() needs of the thread's memory: floats for sums, words for a strip.
  i64 sums() const { return (k_ > depth_ ? group_ : 1) * Tile::kRows * kNR; }
  static constexpr i64 kStrip = Tile::kRows * kAStride;

  // finish(sums, row, rows, column, width) for each tile of A B^T, whose rows in `sums` lie kNR apart. Rows
  // at `next` are those that will be read afterwards.
  template <class Finish>
  BP_INLINE void operator()(const T* a, i64 m, const T* next, float* sums, Word* strip,
                            const Finish& finish) const {
    for (i64 first = 0; first < panels_; first += group_) {
      const i64 last = std::min(panels_, first + group_);
      for (i64 row = 0; row < m; row += Tile::kRows) {
        const i64 rows = std::min<i64>(Tile::kRows, m - row);
        const T* const after = row + rows < m ? a + (row + rows) * k_ : last < panels_ ? a : next;
        run_strip(a + row * k_, rows, first, last, after, sums, strip,
                  [&](const float* tile, i64 column, i64 width) { finish(tile, row, rows, column, width); });
      }
    }
  }

 private:
  static constexpr bool kInPlace = Tile::kPair == 1 && std::is_same_v<T, float>;

  template <class Finish>
  BP_INLINE void run_strip(const T* a, i64 rows, i64 first, i64 last, const T* after, float* sums,
                           Word* strip, const Finish& finish) const {
    const i64 pace = blocks_of(Tile::kRows, last - first);
    k::Matmul p{};
    p.lda = k_;
    for (i64 k0 = 0; k0 < k_; k0 += depth_) {
      const i64 kn = std::min(depth_, k_ - k0), words = words_of<Tile>(kn);
      if constexpr (!kInPlace) pack_strip<Tile::kPair>(p, a, 0, rows, k0, kn, words, strip);
      for (i64 j = first; j < last; ++j) {
        const i64 width = std::min<i64>(kNR, n_ - j * kNR);
        float* const tile = sums + (k_ > depth_ ? j - first : 0) * Tile::kRows * kNR;
        const Word* const panel = packed_ + (j * words_ + k0 / Tile::kPair) * kNR;
        if constexpr (kInPlace)
          Tile::run_rows(static_cast<int>(rows), width <= kLanes, reinterpret_cast<const Word*>(a + k0), k_,
                         panel, kn, tile, kNR, k0 > 0,
                         reinterpret_cast<const Word*>(after + (j - first) * pace * k_), pace);
        else
          Tile::run(static_cast<int>(rows), width <= kLanes, strip, panel, words, tile, kNR, k0 > 0);
        if (k0 + kn == k_) finish(tile, j * kNR, width);
      }
    }
  }

  i64 k_, n_, words_, panels_, group_, depth_;
  const Word* packed_;
};

}  // namespace
