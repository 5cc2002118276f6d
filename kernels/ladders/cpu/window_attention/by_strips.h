// Windows by strips of queries, which the rungs from the fourth on share. Included inside a level's
// namespace, after strips.h.

// A thread packs the keys and values of a window's head and keeps them in its caches for all its queries.
// Scratch slots: 2 and 3 (positions), 4 and 5 (a strip), 6 (panels).
template <class Tile, class T>
static void attend_windows(const k::WindowAttention& p) {
  const ladder::Windows<T> windows(p);
  const auto positions = Positions<Tile>::template prepare<T>(p);
  parallel_for(Unit<T>::count(windows), 1, [&](i64 begin, i64 end) {
    Tile::begin();
    for (i64 u = begin; u < end; ++u) {
      const Unit unit(windows, u);
      const Head<Tile> head(windows.tokens, p.d,
                            scratch<typename Tile::Element>(6, Head<Tile>::size(windows.tokens, p.d)));
      for (i64 i = 0; i < head.panels(); ++i) head.pack(i, unit);
      for (i64 t = 0; t < windows.tokens; t += Tile::kRows) {
        const i64 left = windows.tokens - t;
        attend_queries(unit, head, positions, t, static_cast<int>(left < Tile::kRows ? left : Tile::kRows));
      }
    }
    Tile::end();
  });
}
