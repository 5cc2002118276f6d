// Drawing on RGB images: u8 tensors [H,W,3] on the CPU. Lines and letters grow with the image.
#pragma once
#include <string_view>

#include "apps/iml/boxes.h"

namespace bp {

struct Colour {
  u8 r, g, b;
};
constexpr Colour kMaskColour{255, 40, 90}, kBoxColour{255, 214, 10};

// A copy of the image with the mask [H,W] as a tint and its outline as a line.
Tensor overlay(const Tensor& image, const Tensor& mask, Colour colour = kMaskColour, double opacity = 0.4);

// A copy of the image, greyed, under a map u8 [H,W]: where it is 0 the image alone, then blue, yellow and red
// towards 255, ever less transparent; the mask's outline as a white line.
Tensor heat_overlay(const Tensor& image, const Tensor& map, const Tensor& mask);

// A rectangle with a dark edge on both sides, and a label on a plate at its upper left corner (inside the
// image).
void draw_box(Tensor& image, const Box& box, std::string_view label = {}, Colour colour = kBoxColour);

// Text on a plate whose upper left corner is (x, y); letters are 5 x 7 cells of `scale` pixels. ASCII; other
// bytes show as '?'.
void draw_text(Tensor& image, i64 x, i64 y, std::string_view text, int scale, Colour ink, Colour plate);

}  // namespace bp
