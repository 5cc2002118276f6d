// A list of tensors cut into pieces of one size, so that many small tensors and few large ones keep all
// threads busy alike. Included inside the level's namespace.
constexpr i64 kPiece = 8192;

// Calls body(item, begin, end, piece) for every piece [begin, end) of every item, in parallel; `first` has
// room for the number of the first piece of each item, and of all pieces at its end.
template <class Item, class Body>
void each_piece(const Item* items, i64 count, i64* first, const Body& body) {
  first[0] = 0;
  for (i64 i = 0; i < count; ++i) first[i + 1] = first[i] + (items[i].n + kPiece - 1) / kPiece;
  parallel_for(first[count], 1, [&](i64 from, i64 to) {
    for (i64 piece = from; piece < to; ++piece) {
      i64 low = 0, high = count;  // the last item whose first piece is at or before this one
      while (high - low > 1) {
        const i64 middle = (low + high) / 2;
        (first[middle] <= piece ? low : high) = middle;
      }
      const i64 begin = (piece - first[low]) * kPiece, n = items[low].n;
      body(items[low], begin, begin + kPiece < n ? begin + kPiece : n, piece);
    }
  });
}
