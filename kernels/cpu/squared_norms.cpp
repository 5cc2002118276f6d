// Sums of squares of many tensors. Pieces are added in order, so a sum depends on its tensor alone.
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/pieces.h"

namespace {

template <class T>
float sum_of_squares(const void* x, i64 begin, i64 end) {
  const T* from = static_cast<const T*>(x) + begin;
  vf s = {};
  each_vector(end - begin, [&](i64 i, i64 n) {
    const vf v = load(from + i, n);
    s += v * v;
  });
  return sum_lanes(s);
}

}  // namespace

void squared_norms(const k::SquaredNorms& p) {
  i64 pieces = 0;
  for (i64 i = 0; i < p.count; ++i) pieces += (p.items[i].n + kPiece - 1) / kPiece;
  i64* const first = scratch<i64>(0, p.count + 1);
  float* const partial = scratch<float>(1, pieces);
  each_piece(p.items, p.count, first, [&](const k::SquaredNorms::Item& t, i64 begin, i64 end, i64 piece) {
    partial[piece] = t.dtype == DType::f32 ? sum_of_squares<float>(t.x, begin, end)
                                           : sum_of_squares<bf16>(t.x, begin, end);
  });
  for (i64 i = 0; i < p.count; ++i) {
    float sum = 0;
    for (i64 piece = first[i]; piece < first[i + 1]; ++piece) sum += partial[piece];
    p.y[i] = sum;
  }
}
#include "kernels/cpu/isa_end.h"
