// A whole grid by strips with the positions in the tile: what the rungs from the fifth on share. Included
// inside a level's namespace, after strips.h.

// The panels of a head are packed by all threads, which then share its queries. Scratch slots: 1 (panels), 2
// (tables), 4 and 5 (a strip).
template <class Tile, class T>
static void attend_grid(const k::WindowAttention& p) {
  const ladder::Windows<T> grid(p);
  const auto positions = Positions<Tile>::template prepare<T>(p);
  const Head<Tile> head(grid.tokens, p.d,
                        scratch<typename Tile::Element>(1, Head<Tile>::size(grid.tokens, p.d)));
  for (i64 u = 0; u < Unit<T>::count(grid); ++u) {
    const Unit unit(grid, u);
    parallel_for(head.panels(), 1, [&](i64 begin, i64 end) {
      for (i64 i = begin; i < end; ++i) head.pack(i, unit);
    });
    parallel_for(grid.tokens, Tile::kRows, [&](i64 begin, i64 end) {
      Tile::begin();
      attend_queries(unit, head, positions, begin, static_cast<int>(end - begin));
      Tile::end();
    });
  }
}
