// Index arithmetic of kernels that walk two strided operands.
#pragma once
#include "kernels/kernels.h"

namespace bp::cpu {

struct Axes {  // sizes, and the strides of two operands a and b
  int rank = 0;
  i64 dims[k::kMaxRank], a[k::kMaxRank], b[k::kMaxRank];
};

inline i64 numel(int rank, const i64* dims) {
  i64 n = 1;
  for (int i = 0; i < rank; ++i) n *= dims[i];
  return n;
}

// Drops axes of size 1 and joins neighbours that both operands cross without a jump; the rank becomes at
// least 1.
inline Axes merge_axes(int rank, const i64* dims, const i64* a, const i64* b) {
  Axes m;
  for (int i = 0; i < rank; ++i) {
    if (dims[i] == 1) continue;
    const int last = m.rank - 1;
    const bool joins = last >= 0 && m.a[last] == dims[i] * a[i] && m.b[last] == dims[i] * b[i];
    const int at = joins ? last : m.rank++;
    m.dims[at] = joins ? m.dims[at] * dims[i] : dims[i];
    m.a[at] = a[i];
    m.b[at] = b[i];
  }
  if (m.rank == 0) {
    m.rank = 1;
    m.dims[0] = m.a[0] = m.b[0] = 1;
  }
  return m;
}

// Steps through the first `rank` axes in row-major order from flat index `start`; a and b are the operands'
// offsets.
class Walk {
 public:
  Walk(const Axes& axes, int rank, i64 start) : axes_(axes), rank_(rank) {
    for (int i = rank - 1; i >= 0; --i) {
      index_[i] = start % axes.dims[i];
      start /= axes.dims[i];
      a += index_[i] * axes.a[i];
      b += index_[i] * axes.b[i];
    }
  }
  void next() {
    for (int i = rank_ - 1; i >= 0; --i) {
      a += axes_.a[i];
      b += axes_.b[i];
      if (++index_[i] < axes_.dims[i]) return;
      a -= axes_.a[i] * axes_.dims[i];
      b -= axes_.b[i] * axes_.dims[i];
      index_[i] = 0;
    }
  }
  i64 a = 0, b = 0;

 private:
  const Axes& axes_;
  int rank_;
  i64 index_[k::kMaxRank] = {};
};

}  // namespace bp::cpu
