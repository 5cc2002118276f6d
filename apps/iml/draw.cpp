#include "apps/iml/draw.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/iml/draw_font.h"
#include "engine/error.h"
#include "kernels/threads.h"

namespace bp {
namespace {

constexpr Colour kShadow{16, 16, 20};

void require_image(const char* what, const Tensor& image) {
  require(image.defined() && image.rank() == 3 && image.dim(2) == 3 && image.dtype() == DType::u8, what,
          ": wanted a u8 image [H,W,3]");
}

// One pixel of line for small images, more for large ones.
i64 line_width(const Tensor& image) {
  return std::max<i64>(1, (image.dim(0) + image.dim(1) + 250) / 500);
}

// Fills pixels [x0, x1) x [y0, y1), as far as they are in the image.
void fill(Tensor& image, i64 x0, i64 y0, i64 x1, i64 y1, Colour colour) {
  const i64 height = image.dim(0), width = image.dim(1);
  for (i64 y = std::max<i64>(y0, 0); y < std::min(y1, height); ++y)
    for (i64 x = std::max<i64>(x0, 0); x < std::min(x1, width); ++x) {
      u8* p = image.data<u8>() + (y * width + x) * 3;
      p[0] = colour.r;
      p[1] = colour.g;
      p[2] = colour.b;
    }
}

void frame(Tensor& image, i64 x0, i64 y0, i64 x1, i64 y1, i64 line, Colour colour) {
  fill(image, x0, y0, x1, y0 + line, colour);
  fill(image, x0, y1 - line, x1, y1, colour);
  fill(image, x0, y0, x0 + line, y1, colour);
  fill(image, x1 - line, y0, x1, y1, colour);
}

void draw_outline(Tensor& image, const Tensor& mask, Colour colour) {
  const i64 height = image.dim(0), width = image.dim(1);
  const i64 line = line_width(image), before = line / 2, after = line - before;
  const u8* m = mask.data<u8>();
  const auto inside = [&](i64 x, i64 y) {
    return x >= 0 && y >= 0 && x < width && y < height && m[y * width + x];
  };
  for (i64 y = 0; y < height; ++y)
    for (i64 x = 0; x < width; ++x)
      if (m[y * width + x] && !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1)))
        fill(image, x - before, y - before, x + after, y + after, colour);
}

// Colour and opacity of a heat map at each of 256 values: straight lines between these stops.
struct Heat {
  double at, r, g, b, opacity;
};
constexpr std::array<Heat, 5> kHeat{{{0, 20, 40, 160, 0},
                                     {0.15, 30, 90, 230, 0.35},
                                     {0.5, 40, 200, 160, 0.6},
                                     {0.75, 255, 210, 40, 0.75},
                                     {1, 220, 20, 30, 0.85}}};

Heat heat_at(double value) {
  std::size_t i = 1;
  while (i + 1 < kHeat.size() && value > kHeat[i].at) ++i;
  const Heat &a = kHeat[i - 1], &b = kHeat[i];
  const double t = std::clamp((value - a.at) / (b.at - a.at), 0.0, 1.0);
  const auto mix = [t](double from, double to) { return from + (to - from) * t; };
  return {value, mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b), mix(a.opacity, b.opacity)};
}

u8 blend(u8 below, u8 above, double opacity) {
  return static_cast<u8>(std::lround(below + (above - below) * opacity));
}

}  // namespace

Tensor overlay(const Tensor& image, const Tensor& mask, Colour colour, double opacity) {
  require_image("overlay", image);
  const i64 height = image.dim(0), width = image.dim(1);
  require(mask.defined() && mask.dtype() == DType::u8 && mask.shape() == Shape{height, width},
          "overlay: wanted a u8 mask of ", width, " x ", height);
  Tensor drawn = empty_like(image);
  const u8 *from = image.data<u8>(), *m = mask.data<u8>();
  u8* to = drawn.data<u8>();
  parallel_for(height, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin * width; i < end * width; ++i) {
      const double o = m[i] ? opacity : 0;
      to[3 * i] = blend(from[3 * i], colour.r, o);
      to[3 * i + 1] = blend(from[3 * i + 1], colour.g, o);
      to[3 * i + 2] = blend(from[3 * i + 2], colour.b, o);
    }
  });
  draw_outline(drawn, mask, colour);
  return drawn;
}

Tensor heat_overlay(const Tensor& image, const Tensor& map, const Tensor& mask) {
  require_image("heat_overlay", image);
  const i64 height = image.dim(0), width = image.dim(1);
  for (const Tensor& layer : {map, mask})
    require(layer.defined() && layer.dtype() == DType::u8 && layer.shape() == Shape{height, width},
            "heat_overlay: wanted a u8 map and mask of ", width, " x ", height);
  std::array<Heat, 256> heat;
  for (std::size_t v = 0; v < 256; ++v) heat[v] = heat_at(static_cast<double>(v) / 255);
  Tensor drawn = empty_like(image);
  parallel_for(height, 16, [&](i64 begin, i64 end) {
    for (i64 i = begin * width; i < end * width; ++i) {
      const u8* from = image.data<u8>() + 3 * i;
      u8* to = drawn.data<u8>() + 3 * i;
      const Heat& h = heat[map.data<u8>()[i]];
      // Colours of the image would be mistaken for those of the map; BT.601's luma stays.
      const double grey = 0.299 * from[0] + 0.587 * from[1] + 0.114 * from[2];
      const double colour[3] = {h.r, h.g, h.b};
      for (int c = 0; c < 3; ++c) to[c] = static_cast<u8>(std::lround(grey + (colour[c] - grey) * h.opacity));
    }
  });
  draw_outline(drawn, mask, {255, 255, 255});
  return drawn;
}

void draw_box(Tensor& image, const Box& box, std::string_view label, Colour colour) {
  require_image("draw_box", image);
  const i64 height = image.dim(0), width = image.dim(1), line = line_width(image);
  const auto at = [](double v, i64 limit) {
    return static_cast<i64>(std::lround(std::clamp(v, 0.0, static_cast<double>(limit))));
  };
  const i64 x0 = at(box.x0, width), y0 = at(box.y0, height), x1 = at(box.x1, width), y1 = at(box.y1, height);
  const i64 edge = (line + 2) / 3;
  frame(image, x0 - edge, y0 - edge, x1 + edge, y1 + edge, line + 2 * edge, kShadow);
  frame(image, x0, y0, x1, y1, line, colour);
  if (label.empty()) return;
  const int scale = static_cast<int>(line);
  const i64 plate_width = (6 * static_cast<i64>(label.size()) + 3) * scale, plate_height = 11 * scale;
  const i64 above = y0 - plate_height;  // on the box where there is room, else inside it
  draw_text(image, std::max<i64>(0, std::min(x0, width - plate_width)), above >= 0 ? above : y0, label, scale,
            kShadow, colour);
}

void draw_text(Tensor& image, i64 x, i64 y, std::string_view text, int scale, Colour ink, Colour plate) {
  require_image("draw_text", image);
  fill(image, x, y, x + (6 * static_cast<i64>(text.size()) + 3) * scale, y + 11 * scale, plate);
  i64 left = x + 2 * scale;
  for (const char c : text) {
    const char* letter = detail::kFont[(c < 32 || c > 126 ? '?' : c) - 32];
    for (i64 row = 0; row < 7; ++row)
      for (i64 column = 0; column < 5; ++column)
        if (letter[row * 6 + column] == '#') {
          const i64 px = left + column * scale, py = y + (2 + row) * scale;
          fill(image, px, py, px + scale, py + scale, ink);
        }
    left += 6 * scale;
  }
}

}  // namespace bp
