// Elementwise functions of two tensors with broadcasting. After merging, the last axis of an operand is
// contiguous or repeats one value.
#include <algorithm>

#include "kernels/cpu/axes.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kWork = 16384;  // elements of one parallel range

template <bool repeats, class T>
BP_INLINE vf operand(const T* p, i64 i) {
  if constexpr (repeats) return splat(to_f32(*p));
  return load(p + i);
}
template <bool repeats, class T>
BP_INLINE vf operand_part(const T* p, i64 i, i64 n) {
  if constexpr (repeats) return splat(to_f32(*p));
  return load_part(p + i, n);
}

template <bool a_repeats, bool b_repeats, class T, class F>
void row(const T* a, const T* b, T* y, i64 n, F f) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(operand<a_repeats>(a, i), operand<b_repeats>(b, i)));
  if (i < n) {
    const i64 left = n - i;
    store_part(y + i, f(operand_part<a_repeats>(a, i, left), operand_part<b_repeats>(b, i, left)), left);
  }
}

template <class T, class F>
void map(const k::Binary& p, F f) {
  const T *a = static_cast<const T*>(p.a), *b = static_cast<const T*>(p.b);
  T* y = static_cast<T*>(p.y);
  const Axes m = merge_axes(p.rank, p.dims, p.as, p.bs);
  const int last = m.rank - 1;
  const i64 rows = numel(last, m.dims), n = m.dims[last], sa = m.a[last], sb = m.b[last];
  if (rows * n == 0) return;
  const i64 piece = std::min(n, kWork), pieces = (n + piece - 1) / piece;
  parallel_for(rows * pieces, kWork / piece, [&](i64 begin, i64 end) {
    Walk at(m, last, begin / pieces);
    for (i64 item = begin; item < end; ++item, at.next()) {  // pieces > 1: one item per range
      const i64 first = item % pieces * piece, count = std::min(piece, n - first);
      const T *pa = a + at.a + first * sa, *pb = b + at.b + first * sb;
      T* py = y + item / pieces * n + first;
      if (sa == 0 && sb == 0)
        row<true, true>(pa, pb, py, count, f);
      else if (sa == 0)
        row<true, false>(pa, pb, py, count, f);
      else if (sb == 0)
        row<false, true>(pa, pb, py, count, f);
      else
        row<false, false>(pa, pb, py, count, f);
    }
  });
}

template <class T>
void run(const k::Binary& p) {
  switch (p.op) {
    case k::BinaryOp::add:
      return map<T>(p, [](vf a, vf b) { return a + b; });
    case k::BinaryOp::sub:
      return map<T>(p, [](vf a, vf b) { return a - b; });
    case k::BinaryOp::mul:
      return map<T>(p, [](vf a, vf b) { return a * b; });
    case k::BinaryOp::div:
      return map<T>(p, [](vf a, vf b) { return a / b; });
  }
}

}  // namespace

void binary(const k::Binary& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
