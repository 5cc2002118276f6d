#include "apps/iml/augment.h"

#include <algorithm>
#include <cmath>

#include "apps/iml/filters.h"
#include "apps/iml/jpeg.h"
#include "engine/error.h"
#include "engine/ops.h"

namespace bp {
namespace {

constexpr i64 kLeastSide = 32;  // crops and scales stop here

struct Window {
  i64 y = 0, x = 0, height = 0, width = 0;
};

// `least` to `most` of each side, each drawn for itself.
Window random_window(const Tensor& image, double least, double most, Random& random) {
  const i64 h = image.dim(0), w = image.dim(1);
  const auto part = [&](i64 side) {
    const auto wanted =
        static_cast<i64>(std::lround(static_cast<double>(side) * random.uniform(least, most)));
    return std::clamp(wanted, std::min(side, i64{1}), side);
  };
  Window window{0, 0, part(h), part(w)};
  window.y = random.integer(0, h - window.height);
  window.x = random.integer(0, w - window.width);
  return window;
}

Example crop(const Example& e, const Window& w) {
  return {bp::crop(e.image, w.y, w.x, w.height, w.width), bp::crop(e.mask, w.y, w.x, w.height, w.width)};
}

Example scaled(const Example& e, double by) {
  const auto side = [by](i64 n) {
    return std::max(std::min(n, kLeastSide), static_cast<i64>(std::lround(static_cast<double>(n) * by)));
  };
  const i64 h = side(e.image.dim(0)), w = side(e.image.dim(1));
  return {resize_pil(e.image, h, w),
          resize_pil(e.mask.reshape({e.mask.dim(0), e.mask.dim(1), 1}), h, w).reshape({h, w})};
}

Example copy_of(const Example& e) {
  return {bp::crop(e.image, 0, 0, e.image.dim(0), e.image.dim(1)),
          bp::crop(e.mask, 0, 0, e.mask.dim(0), e.mask.dim(1))};
}

// A rectangle of the image somewhere else in it.
Example copy_moved(const Example& e, Random& random) {
  const Window from = random_window(e.image, 0.1, 0.4, random);
  const i64 h = e.image.dim(0), w = e.image.dim(1), y0 = random.integer(0, h - from.height),
            x0 = random.integer(0, w - from.width);
  Example out = copy_of(e);
  for (i64 y = 0; y < from.height; ++y) {
    std::copy_n(e.image.data<u8>() + ((from.y + y) * w + from.x) * 3, from.width * 3,
                out.image.data<u8>() + ((y0 + y) * w + x0) * 3);
    std::fill_n(out.mask.data<u8>() + (y0 + y) * w + x0, from.width, u8{255});
  }
  return out;
}

// A rectangle filled in from its surroundings.
Example inpainted(const Example& e, Random& random) {
  const Window hole = random_window(e.image, 0.05, 0.25, random);
  const i64 w = e.image.dim(1);
  Example out = copy_of(e);
  Tensor inside = zeros(e.mask.shape(), DType::u8);
  for (i64 y = hole.y; y < hole.y + hole.height; ++y) {
    std::fill_n(inside.data<u8>() + y * w + hole.x, hole.width, u8{255});
    std::fill_n(out.mask.data<u8>() + y * w + hole.x, hole.width, u8{255});
  }
  out.image = inpaint(e.image, inside);
  return out;
}

}  // namespace

Augmentation Augmentation::published() {
  Augmentation a;
  a.scale = 0.2, a.copy_move = 0.1, a.inpaint = 0.1, a.flip = 0.5, a.rotate = 0.5;
  a.brightness = 0.1, a.contrast = 0.1, a.jpeg = 0.2, a.blur = 0.2;
  return a;
}

Augmentation Augmentation::flips() {
  Augmentation a;
  a.flip = 0.5, a.rotate = 0.5;
  return a;
}

Example augment(const Example& example, const Augmentation& o, Random random) {
  Example e = example;
  if (random.chance(o.crop)) e = crop(e, random_window(e.image, o.crop_least, 1, random));
  if (o.scale > 0) e = scaled(e, random.uniform(1 - o.scale, 1 + o.scale));
  if (random.chance(o.copy_move)) e = copy_moved(e, random);
  if (random.chance(o.inpaint)) e = inpainted(e, random);
  if (random.chance(o.flip)) e = {flip_horizontal(e.image), flip_horizontal(e.mask)};
  if (random.chance(o.flip)) e = {flip_vertical(e.image), flip_vertical(e.mask)};
  if (o.brightness > 0 || o.contrast > 0)
    e.image = brightness_contrast(e.image, random.uniform(-o.brightness, o.brightness),
                                  random.uniform(-o.contrast, o.contrast));
  if (random.chance(o.jpeg))
    e.image = jpeg_round_trip(e.image, static_cast<int>(random.integer(o.jpeg_low, o.jpeg_high)));
  if (random.chance(o.rotate)) {
    const int quarters = static_cast<int>(random.integer(1, 3));
    e = {rotate90(e.image, quarters), rotate90(e.mask, quarters)};
  }
  if (random.chance(o.blur)) e.image = gaussian_blur(e.image, static_cast<int>(1 + 2 * random.integer(1, 3)));
  return e;
}

}  // namespace bp
