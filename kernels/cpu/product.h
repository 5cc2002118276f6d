// The product as matmul and conv2d do it. Included inside the level's namespace, after product_tiles.h.
//
// B is packed whole into panels of kNR columns (once for all batches if they share it); then blocks of C are
// computed independently: per block of k, strips of A are packed into L1, or read where they are, and run
// along the panels. A tile's sums go to a small buffer, to one of the whole block in L2 where k has several
// blocks; after the last the epilogue (alpha, bias, activation, residual, conversion) takes them tile by
// tile, so that its loads and stores spread over the arithmetic. The order of additions within an element
// depends on k alone, not on how C is cut up or on the number of threads. Scratch slots: 3 (panels), 6
// (sums), 7 (strip of A).

constexpr i64 kBlockPanels = 12;  // 384 columns: the panels of one block of k stay in L2
constexpr i64 kBlockRows = 16 * kMR;
constexpr i64 kTasks = 8;             // blocks that each thread should find
constexpr i64 kLarge = i64{1} << 20;  // elements of a C that no L2 holds: asked for before it is written

// How C is cut up into blocks of strips x panels that threads take in turn: about kTasks to a thread, and
// where all of B stays in L2 the last ones are single strips, so that nobody waits for a long one at the end.
class Blocks {
 public:
  struct Block {
    i64 strip0, strip1, panel0, panel1;
  };
  Blocks(i64 strips, i64 panels, i64 depth, i64 most_strips) : all_strips_(strips), all_panels_(panels) {
    const i64 wanted = threads() == 1 ? 1 : kTasks * threads();
    columns_ = std::clamp(wanted / strips, blocks_of(panels, kBlockPanels), panels);
    strips_ = std::clamp<i64>(strips * columns_ / wanted, 1, most_strips);
    const bool in_l2 = panels * depth <= kBlockPanels * kKC;
    last_strips_ = in_l2 ? 1 : strips_;
    const i64 last = std::min(strips, in_l2 ? threads() * strips_ / columns_ : 0);
    full_rows_ = (strips - last) / strips_;
    rows_ = full_rows_ + blocks_of(strips - full_rows_ * strips_, last_strips_);
  }
  i64 count() const { return rows_ * columns_; }
  // The most that a block has.
  i64 strips() const { return strips_; }
  i64 panels() const { return blocks_of(all_panels_, columns_); }
  Block operator[](i64 i) const {
    const i64 row = i / columns_, column = i % columns_;
    return {first_strip(row), first_strip(row + 1), all_panels_ * column / columns_,
            all_panels_ * (column + 1) / columns_};
  }

 private:
  i64 first_strip(i64 row) const {
    const i64 full = std::min(row, full_rows_);
    return std::min(all_strips_, full * strips_ + (row - full) * last_strips_);
  }

  i64 all_strips_, all_panels_;
  i64 rows_, columns_;  // of blocks
  i64 full_rows_;       // of these, with strips_ strips each; the others have last_strips_
  i64 strips_, last_strips_;
};

// All panels of op(B).
template <class Tile, class T>
static void pack_all(const k::Matmul& p, const T* b, Word* packed) {
  const i64 words = words_of<Tile>(p.k);
  parallel_for(blocks_of(p.n, kNR), 1, [&](i64 begin, i64 end) {
    pack_panels<Tile::kPair>(p, b, begin, end, 0, p.k, words, packed + begin * kNR * words);
  });
}

// C = op(A) op(B) and so on, as p says, where rows_of has the strips of op(A): pack(a, row, rows, k0, kn,
// words, strip) fills one for the batch that begins at a; where in_place(), the tile reads rows of a instead;
// prefetch() asks for part `part` of `parts` of what the next strip will read. C, bias and residual are of
// type Out.
template <class Tile, class T, class Out, class Rows>
static void multiply(const k::Matmul& p, const Rows& rows_of) {
  constexpr i64 kRows = Tile::kRows;
  const i64 panels = blocks_of(p.n, kNR), strips = blocks_of(p.m, kRows), words = words_of<Tile>(p.k);
  const Blocks blocks(strips, panels, p.k, kBlockRows / kRows);
  const bool in_place = rows_of.in_place();
  // What is read in place need not fit a strip: all of k at once, where the panels of a block stay in L2.
  const bool shallow = blocks.panels() * p.k <= kBlockPanels * kKC;
  const i64 depth = in_place && shallow ? std::max<i64>(1, p.k) : kKC * Tile::kPair;
  // Sums of a block that are kept from one block of k to the next: none if there is one.
  const i64 kept = p.k > depth ? blocks.strips() * blocks.panels() : 1;
  Word* const scratch_panels = p.packed ? nullptr : scratch<Word>(3, std::max<i64>(1, panels * kNR * words));
  const Word* const packed = p.packed ? static_cast<const Word*>(p.packed) : scratch_panels;

  for (i64 batch = 0; batch < p.batch; ++batch) {
    const T* a = static_cast<const T*>(p.a) + batch * p.a_batch;
    const T* b = static_cast<const T*>(p.b) + batch * p.b_batch;
    Out* c = static_cast<Out*>(p.c) + batch * p.c_batch;
    const Out* residual = p.residual ? static_cast<const Out*>(p.residual) + batch * p.c_batch : nullptr;
    const Out* bias = static_cast<const Out*>(p.bias);
    if (scratch_panels && (batch == 0 || p.b_batch != 0)) pack_all<Tile>(p, b, scratch_panels);

    parallel_for(blocks.count(), 1, [&](i64 begin, i64 end) {
      float* const block = scratch<float>(6, kept * kRows * kNR);
      Word* const strip = scratch<Word>(7, kRows * kAStride);
      Tile::begin();
      for (i64 task = begin; task < end; ++task) {
        const auto [strip0, strip1, panel0, panel1] = blocks[task];
        for (i64 k0 = 0; k0 == 0 || k0 < p.k; k0 += depth) {
          const i64 kn = std::min(depth, p.k - k0);
          for (i64 s = strip0; s < strip1; ++s) {
            const i64 row = s * kRows, rows = std::min(kRows, p.m - row);
            const Word* from = strip;
            if (in_place)
              from = reinterpret_cast<const Word*>(a + row * p.lda + k0);
            else
              rows_of.pack(a, row, rows, k0, kn, words_of<Tile>(kn), strip);
            for (i64 j = panel0; j < panel1; ++j) {
              const i64 part = j - panel0, parts = panel1 - panel0, at = row * p.ldc + j * kNR,
                        width = std::min<i64>(kNR, p.n - j * kNR);
              const bool last = k0 + depth >= p.k;
              if (last && p.m * p.n > kLarge)
                for (i64 i = 0; i < rows; ++i) fetch_to_write(c + at + i * p.ldc, width);
              // The next strip: from within the tile where it lies in one piece, else now.
              const bool dense = in_place && kn == p.lda && s + 1 < strip1;
              if (!dense && s + 1 < strip1)
                rows_of.prefetch(a, row + kRows, std::min(kRows, p.m - row - kRows), k0, kn, part, parts);
              float* const sums =
                  kept == 1 ? block : block + ((s - strip0) * blocks.panels() + part) * kRows * kNR;
              const Word* const panel = packed + (j * words + k0 / Tile::kPair) * kNR;
              if constexpr (Rows::kInPlace) {
                const i64 pace = dense ? blocks_of(kRows, parts) : 0;
                Tile::run_rows(static_cast<int>(rows), width <= kLanes, from, in_place ? p.lda : kAStride,
                               panel, kn, sums, kNR, k0 > 0, from + (dense ? kRows + part * pace : 0) * kn,
                               pace);
              } else {
                Tile::run(static_cast<int>(rows), width <= kLanes, strip, panel, words_of<Tile>(kn), sums,
                          kNR, k0 > 0);
              }
              if (last)
                finish_rows(p, sums, kNR, rows, width, bias ? bias + j * kNR : nullptr,
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
  // Rows 4096 bytes apart would share the few places that a cache has for equal low bits of an address.
  static constexpr bool kInPlace = Tile::kPair == 1 && std::is_same_v<T, float>;
  bool in_place() const { return kInPlace && !p.ta && p.lda % 1024 != 0; }
  void prefetch(const T* a, i64 row, i64 rows, i64 k0, i64 kn, i64 part, i64 parts) const {
    if (!p.ta) prefetch_rows(a + row * p.lda + k0, p.lda, kn, rows, part, parts);
  }
};
