// The product as matmul and conv2d do it. Included inside the level's namespace, after product_tiles.h.
//
// B is packed whole into panels of kNR columns (once for all batches if they share it); then blocks of C are
// computed independently: per block of k, strips of A are packed into L1 and run along the panels, adding
// into a buffer of the block in L2; the epilogue (alpha, bias, activation, residual, conversion) reads it
// after the last block. The order of additions within an element depends on k alone, not on how C is cut up
// or on the number of threads. Scratch slots: 3 (panels), 6 (block of C), 7 (strip of A).

constexpr i64 kBlockPanels = 12;  // 384 columns: the panels of one block of k stay in L2
constexpr i64 kBlockRows = 16 * kMR;

// All panels of op(B).
template <class Tile, class T>
static void pack_all(const k::Matmul& p, const T* b, Word* packed) {
  const i64 words = words_of<Tile>(p.k);
  parallel_for(blocks_of(p.n, kNR), 1, [&](i64 begin, i64 end) {
    pack_panels<Tile::kPair>(p, b, begin, end, 0, p.k, words, packed + begin * kNR * words);
  });
}

// C = op(A) op(B) and so on, as p says, where rows_of has the strips of op(A): pack(a, row, rows, k0, kn,
// words, strip) fills one for the batch that begins at a; prefetch() asks for part `part` of `parts` of what
// the next one will read. C, bias and residual are of type Out.
template <class Tile, class T, class Out, class Rows>
static void multiply(const k::Matmul& p, const Rows& rows_of) {
  constexpr i64 kRows = Tile::kRows, kDepth = kKC * Tile::kPair, ld = kBlockPanels * kNR;
  const i64 panels = blocks_of(p.n, kNR), strips = blocks_of(p.m, kRows), words = words_of<Tile>(p.k);
  const i64 column_blocks = blocks_of(panels, kBlockPanels);
  // Blocks are made smaller where there would be too few of them to keep all threads busy.
  const i64 wanted = 4 * threads();
  const i64 block_strips = std::clamp<i64>(strips * column_blocks / wanted, 1, kBlockRows / kRows);
  const i64 row_blocks = blocks_of(strips, block_strips);
  Word* const scratch_panels = p.packed ? nullptr : scratch<Word>(3, std::max<i64>(1, panels * kNR * words));
  const Word* const packed = p.packed ? static_cast<const Word*>(p.packed) : scratch_panels;

  for (i64 batch = 0; batch < p.batch; ++batch) {
    const T* a = static_cast<const T*>(p.a) + batch * p.a_batch;
    const T* b = static_cast<const T*>(p.b) + batch * p.b_batch;
    Out* c = static_cast<Out*>(p.c) + batch * p.c_batch;
    const Out* residual = p.residual ? static_cast<const Out*>(p.residual) + batch * p.c_batch : nullptr;
    const Out* bias = static_cast<const Out*>(p.bias);
    if (scratch_panels && (batch == 0 || p.b_batch != 0)) pack_all<Tile>(p, b, scratch_panels);

    parallel_for(row_blocks * column_blocks, 1, [&](i64 begin, i64 end) {
      float* const block = scratch<float>(6, block_strips * kRows * ld);
      Word* const strip = scratch<Word>(7, kRows * kAStride);
      Tile::begin();
      for (i64 task = begin; task < end; ++task) {
        const i64 panel0 = task % column_blocks * kBlockPanels,
                  panel1 = std::min(panels, panel0 + kBlockPanels);
        const i64 strip0 = task / column_blocks * block_strips,
                  strip1 = std::min(strips, strip0 + block_strips);
        for (i64 k0 = 0; k0 == 0 || k0 < p.k; k0 += kDepth) {
          const i64 kn = std::min(kDepth, p.k - k0);
          for (i64 s = strip0; s < strip1; ++s) {
            const i64 row = s * kRows, rows = std::min(kRows, p.m - row);
            float* const out = block + (s - strip0) * kRows * ld;
            rows_of.pack(a, row, rows, k0, kn, words_of<Tile>(kn), strip);
            for (i64 j = panel0; j < panel1; ++j) {
              if (s + 1 < strip1)
                rows_of.prefetch(a, row + kRows, std::min(kRows, p.m - row - kRows), k0, kn, j - panel0,
                                 panel1 - panel0);
              Tile::run(static_cast<int>(rows), p.n - j * kNR <= kLanes, strip,
                        packed + (j * words + k0 / Tile::kPair) * kNR, words_of<Tile>(kn),
                        out + (j - panel0) * kNR, ld, k0 > 0);
            }
            if (k0 + kDepth < p.k) continue;
            const i64 column0 = panel0 * kNR, columns = std::min(p.n, panel1 * kNR) - column0;
            for (i64 i = 0; i < rows; ++i) {
              const i64 at = (row + i) * p.ldc + column0;
              finish_row(p, out + i * ld, columns, bias ? bias + column0 : nullptr,
                         residual ? residual + at : nullptr, c + at);
            }
          }
        }
      }
      Tile::end();
    });
  }
}

// The strips of op(A) where p has a matrix.
template <class Tile, class T>
struct Matrix {
  const k::Matmul& p;

  void pack(const T* a, i64 row, i64 rows, i64 k0, i64 kn, i64 words, Word* strip) const {
    pack_strip<Tile::kPair>(p, a, row, rows, k0, kn, words, strip);
  }
  void prefetch(const T* a, i64 row, i64 rows, i64 k0, i64 kn, i64 part, i64 parts) const {
    if (!p.ta) prefetch_rows(a + row * p.lda + k0, p.lda, kn, rows, part, parts);
  }
};
