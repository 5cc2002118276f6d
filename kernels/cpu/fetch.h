// Asks the memory for rows ahead of their use. Included inside the level's namespace.

// Asks for a row of n numbers that is needed soon. In assembly, because g++ removes loops of nothing but
// __builtin_prefetch.
template <class T>
BP_INLINE void fetch(const T* row, i64 n) {
  for (i64 i = 0; i < n; i += 64 / static_cast<i64>(sizeof(T))) {
#if BP_ISA_LEVEL != 0
    asm volatile("prefetcht0 %0" : : "m"(row[i]));
#endif
  }
}
