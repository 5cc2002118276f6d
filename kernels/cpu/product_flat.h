// The product where A is a few strips: then B, as large as it may be, is used too seldom to be packed as a
// whole. A is, and a panel of B is packed a block of k at a time, right before the strips run along it.
// Included inside the level's namespace, after product.h; the order of additions is the same. Scratch slots:
// 3 (A), 6 (sums), 7 (part of a panel).

constexpr i64 kFlatStrips = 4;
constexpr i64 kFlatWork = i64{1} << 14;  // elements of B from which on this gains

template <class Tile>
static bool is_flat(const k::Matmul& p) {
  return !p.packed && p.m <= kFlatStrips * Tile::kRows && p.n * p.k >= kFlatWork;
}

template <class Tile, class T>
static void multiply_flat(const k::Matmul& p) {
  constexpr i64 kRows = Tile::kRows, kDepth = kKC * Tile::kPair, kStrip = kRows * kAStride;
  const i64 panels = blocks_of(p.n, kNR), strips = blocks_of(p.m, kRows), blocks = blocks_of(p.k, kDepth);
  const auto depth_of = [&](i64 block) { return std::min(kDepth, p.k - block * kDepth); };
  const auto rows_of = [&](i64 strip) { return std::min(kRows, p.m - strip * kRows); };
  Word* const packed = scratch<Word>(3, blocks * strips * kStrip);

  for (i64 batch = 0; batch < p.batch; ++batch) {
    const T* a = static_cast<const T*>(p.a) + batch * p.a_batch;
    const T* b = static_cast<const T*>(p.b) + batch * p.b_batch;
    T* c = static_cast<T*>(p.c) + batch * p.c_batch;
    const T* residual = p.residual ? static_cast<const T*>(p.residual) + batch * p.c_batch : nullptr;
    const T* bias = static_cast<const T*>(p.bias);
    if (batch == 0 || p.a_batch != 0)
      parallel_for(blocks * strips, 4, [&](i64 begin, i64 end) {
        for (i64 i = begin; i < end; ++i) {
          const i64 block = i / strips, strip = i % strips, kn = depth_of(block);
          pack_strip<Tile::kPair>(p, a, strip * kRows, rows_of(strip), block * kDepth, kn, words_of<Tile>(kn),
                                  packed + i * kStrip);
        }
      });
    parallel_for(panels, 1, [&](i64 begin, i64 end) {
      float* const sums = scratch<float>(6, kFlatStrips * kRows * kNR);
      Word* const panel = scratch<Word>(7, words_of<Tile>(kDepth) * kNR);
      Tile::begin();
      for (i64 j = begin; j < end; ++j) {
        const i64 column = j * kNR, width = std::min<i64>(kNR, p.n - column);
        for (i64 block = 0; block < blocks; ++block) {
          const i64 kn = depth_of(block), words = words_of<Tile>(kn);
          pack_panels<Tile::kPair>(p, b, j, j + 1, block * kDepth, kn, words, panel);
          for (i64 s = 0; s < strips; ++s)
            Tile::run(static_cast<int>(rows_of(s)), width <= kLanes, packed + (block * strips + s) * kStrip,
                      panel, words, sums + s * kRows * kNR, kNR, block > 0);
        }
        for (i64 s = 0; s < strips; ++s) {
          const i64 at = s * kRows * p.ldc + column;
          finish_rows(p, sums + s * kRows * kNR, kNR, rows_of(s), width, bias ? bias + column : nullptr,
                      residual ? residual + at : nullptr, c + at);
        }
      }
      Tile::end();
    });
  }
}
