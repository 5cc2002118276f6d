// Sizes of a tensor's axes, outermost first. Rank 0 (a scalar) to kMaxRank.
#pragma once
#include <array>
#include <initializer_list>
#include <ostream>

#include "engine/error.h"
#include "kernels/kernels.h"

namespace bp {

class Shape {
 public:
  static constexpr int kMaxRank = k::kMaxRank;

  Shape() = default;
  Shape(std::initializer_list<i64> dims) {
    for (i64 d : dims) push_back(d);
  }

  int rank() const { return rank_; }
  // Negative axes count from the end.
  i64 operator[](int axis) const { return dims_[static_cast<std::size_t>(index(axis))]; }
  i64& operator[](int axis) { return dims_[static_cast<std::size_t>(index(axis))]; }
  void push_back(i64 d) {
    require(rank_ < kMaxRank, "shape: rank above ", kMaxRank);
    dims_[static_cast<std::size_t>(rank_++)] = d;
  }
  i64 numel() const {
    i64 n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<std::size_t>(i)];
    return n;
  }
  const i64* begin() const { return dims_.data(); }
  const i64* end() const { return dims_.data() + rank_; }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a[i] != b[i]) return false;
    return true;
  }
  friend std::ostream& operator<<(std::ostream& out, const Shape& s) {
    out << '[';
    for (int i = 0; i < s.rank_; ++i) out << (i ? "," : "") << s[i];
    return out << ']';
  }

 private:
  int index(int axis) const {
    const int i = axis < 0 ? axis + rank_ : axis;
    require(i >= 0 && i < rank_, "shape ", *this, ": no axis ", axis);
    return i;
  }
  std::array<i64, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace bp
