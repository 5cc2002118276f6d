// Rows divided by their Euclidean norm.
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

template <class F>
BP_INLINE float sum_of(i64 cols, F term) {
  vf s = {};
  each_vector(cols, [&](i64 i, i64 n) { s += term(i, n); });
  return sum_lanes(s);
}

template <class F>
void each_row(i64 rows, i64 cols, F body) {
  parallel_for(rows, std::max<i64>(1, 16384 / std::max<i64>(1, cols)), [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) body(r);
  });
}

template <class T>
void run(const k::L2Normalize& p) {
  each_row(p.rows, p.cols, [&](i64 r) {
    const T* x = static_cast<const T*>(p.x) + r * p.cols;
    T* y = static_cast<T*>(p.y) + r * p.cols;
    const float square = sum_of(p.cols, [&](i64 i, i64 n) {
      const vf v = load(x + i, n);
      return v * v;
    });
    const float norm = __builtin_sqrtf(square), divisor = norm < p.eps ? p.eps : norm;  // NaN stays
    each_vector(p.cols, [&](i64 i, i64 n) { store(y + i, load(x + i, n) * (1.0f / divisor), n); });
    if (p.norms) p.norms[r] = divisor;
  });
}

template <class T>
void run(const k::L2NormalizeBackward& p) {
  each_row(p.rows, p.cols, [&](i64 r) {
    const T *y = static_cast<const T*>(p.y) + r * p.cols, *dy = static_cast<const T*>(p.dy) + r * p.cols;
    T* dx = static_cast<T*>(p.dx) + r * p.cols;
    const float norm = p.norms[r];
    const float along =
        norm > p.eps ? sum_of(p.cols, [&](i64 i, i64 n) { return load(y + i, n) * load(dy + i, n); }) : 0.0f;
    each_vector(p.cols, [&](i64 i, i64 n) {
      store(dx + i, (load(dy + i, n) - load(y + i, n) * along) * (1.0f / norm), n);
    });
  });
}

}  // namespace

void l2_normalize(const k::L2Normalize& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
void l2_normalize_backward(const k::L2NormalizeBackward& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
