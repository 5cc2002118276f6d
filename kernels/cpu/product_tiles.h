// The register tiles that products are made of. Included inside the level's namespace, after product_pack.h.
//
// run(): c[i][j] (+)= sum over the words of depth of strip[i][.] panel[.][j], for i < rows and j < kNR, or
// only the first kLanes columns if half; it may write all kRows x kNR of c, whose rows lie ld apart. It adds
// to c if `add`, else overwrites it. run_rows(), of f32 alone: the same with rows of A lda apart, see
// tile_rows(). run_columns(): the same with A stored [words][lda], readable to kRows columns, and rows of the
// panel ldb apart. begin() and end() stand around a thread's calls.

// f32, and bf16 converted to it when packed: tile() of gemm.h.
struct F32Tile {
  static constexpr int kRows = kMR, kPair = 1, kStep = 1;
  static void begin() {}
  static void end() {}
  BP_INLINE static void run(int rows, bool half, const Word* strip, const Word* panel, i64 words, float* c,
                            i64 ld, bool add) {
    tile(rows, half, reinterpret_cast<const float*>(strip), reinterpret_cast<const float*>(panel), words, c,
         ld, add);
  }
  BP_INLINE static void run_rows(int rows, bool half, const Word* a, i64 lda, const Word* panel, i64 words,
                                 float* c, i64 ld, bool add, const Word* ahead, i64 pace) {
    tile_rows(rows, half, reinterpret_cast<const float*>(a), lda, reinterpret_cast<const float*>(panel),
              words, c, ld, add, reinterpret_cast<const float*>(ahead), pace);
  }
  BP_INLINE static void run_columns(int rows, bool half, const Word* a, i64 lda, const Word* panel, i64 ldb,
                                    i64 words, float* c, i64 ld, bool add) {
    tile_columns(rows, half, reinterpret_cast<const float*>(a), lda, reinterpret_cast<const float*>(panel),
                 ldb, words, c, ld, add);
  }
};

#if BP_ISA_LEVEL == 512
// bf16 by VDPBF16PS (bf16_tiles.cpp): two multiply-adds per lane, sums in f32.
struct DotTile {
  static constexpr int kRows = kMR, kPair = 2, kStep = 1;
  static void begin() {}
  static void end() {}
  static void run(int rows, bool half, const Word* strip, const Word* panel, i64 words, float* c, i64 ld,
                  bool add);
  static void run_columns(int rows, bool half, const Word* a, i64 lda, const Word* panel, i64 ldb, i64 words,
                          float* c, i64 ld, bool add);
};

// bf16 by AMX: 32 x 32 numbers as four tiles, one step of 16 words.
struct AmxTile {
  static constexpr int kRows = 32, kPair = 2, kStep = 16;
  static void begin();
  static void end();
  static void run(int rows, bool half, const Word* strip, const Word* panel, i64 words, float* c, i64 ld,
                  bool add);
  static void run_columns(int rows, bool half, const Word* a, i64 lda, const Word* panel, i64 ldb, i64 words,
                          float* c, i64 ld, bool add);
};
#endif

// Calls f with the tile for T on this machine.
template <class T, class F>
BP_INLINE void with_tile(const F& f) {
#if BP_ISA_LEVEL == 512
  if constexpr (std::is_same_v<T, bf16>) {
    if (bf16_amx()) return f(AmxTile());
    if (bf16_dot()) return f(DotTile());
  }
#endif
  f(F32Tile());
}

// Words of depth that a tile reads for k elements.
template <class Tile>
constexpr i64 words_of(i64 k) {
  return blocks_of(blocks_of(k, Tile::kPair), Tile::kStep) * Tile::kStep;
}
