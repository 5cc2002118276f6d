#include "apps/iml/masks.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace bp {
namespace {

void require_mask(const char* what, const Tensor& mask) {
  require(mask.defined() && mask.rank() == 2 && mask.dtype() == DType::u8, what, ": wanted a u8 mask [H,W]");
}

void require_alike(const char* what, const Tensor& a, const Tensor& b) {
  require_mask(what, a);
  require_mask(what, b);
  require(a.shape() == b.shape(), what, ": masks ", a.shape(), " and ", b.shape());
}

}  // namespace

i64 mask_area(const Tensor& mask) {
  require_mask("mask_area", mask);
  const u8* m = mask.data<u8>();
  return mask.numel() - std::count(m, m + mask.numel(), u8{0});
}

void unite(Tensor& mask, const Tensor& other) {
  require_alike("unite", mask, other);
  u8* m = mask.data<u8>();
  const u8* o = other.data<u8>();
  for (i64 i = 0; i < mask.numel(); ++i)
    if (o[i]) m[i] = 255;
}

double mask_iou(const Tensor& a, const Tensor& b) {
  require_alike("mask_iou", a, b);
  const u8 *x = a.data<u8>(), *y = b.data<u8>();
  i64 both = 0, either = 0;
  for (i64 i = 0; i < a.numel(); ++i) {
    both += x[i] && y[i];
    either += x[i] || y[i];
  }
  return either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
}

void fill_box(Tensor& mask, const Box& box) {
  require_mask("fill_box", mask);
  const auto first = [](double edge, i64 limit) {
    return static_cast<i64>(std::clamp(std::ceil(edge - 0.5), 0.0, static_cast<double>(limit)));
  };
  const i64 height = mask.dim(0), width = mask.dim(1);
  const i64 left = first(box.x0, width), right = first(box.x1, width);
  for (i64 y = first(box.y0, height); y < first(box.y1, height); ++y)
    if (left < right) std::fill_n(mask.data<u8>() + y * width + left, right - left, u8{255});
}

Tensor mask_of_boxes(std::span<const Box> boxes, i64 height, i64 width) {
  Tensor mask = zeros({height, width}, DType::u8);
  for (const Box& box : boxes) fill_box(mask, box);
  return mask;
}

}  // namespace bp
