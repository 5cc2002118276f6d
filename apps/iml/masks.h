// Masks: u8 tensors [H,W] on the CPU, 255 inside and 0 outside (any value but 0 counts as inside).
#pragma once
#include "apps/iml/boxes.h"

namespace bp {

i64 mask_area(const Tensor& mask);                  // pixels inside
void unite(Tensor& mask, const Tensor& other);      // mask = mask or other, of one size
double mask_iou(const Tensor& a, const Tensor& b);  // 1 where both are empty; sizes must be equal
// Sets the pixels whose centre is in the box (finite corners; what is outside the image is cut off).
void fill_box(Tensor& mask, const Box& box);
// The boxes, united, as a mask of that size: what a teacher that answers with its prompt would give.
Tensor mask_of_boxes(std::span<const Box> boxes, i64 height, i64 width);

}  // namespace bp
