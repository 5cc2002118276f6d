// Included inside a level's namespace, after kernels/cpu/simd.h.

// f(0), f(1) .. f(n - 1), each number a constant of its type: the compiler keeps an array in registers only
// where all its indices are constants early on, which those of a loop become too late.
template <int n, class F>
BP_INLINE void unrolled(const F& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, n>{});
}
