#include "apps/iml/synth_edits.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/iml/filters.h"
#include "apps/iml/synth_blend.h"
#include "apps/iml/synth_picture.h"
#include "apps/iml/synth_region.h"

namespace bp {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double v) {
  return std::round(v * 1000) / 1000;
}

double middle(i64 a, i64 b) {
  return static_cast<double>(a + b) / 2;
}

// How a layer is joined to the image under it.
struct Blend {
  double seamless, feathered;  // probabilities; the rest is hard
};

void join(Canvas& canvas, Layer& layer, const Blend& blend, Random& random, Json& note) {
  const double u = random.uniform();
  const double sigma = random.chance(0.7) ? random.uniform(0.4, 1.2) : random.uniform(1.2, 3);
  const bool soften = random.chance(0.1);
  const double softness = random.uniform(0.7, 1.5);
  if (u < blend.seamless) {
    note["blend"] = "poisson";
    harden(layer);
    lay_seamlessly(canvas.image, layer);
  } else if (u < blend.seamless + blend.feathered && !canvas.clean) {
    note["blend"] = "feather";
    note["feather"] = rounded(sigma);
    feather(layer, sigma);
    lay_over(canvas.image, layer);
  } else {
    note["blend"] = "hard";
    // Hard is not jagged: the alpha of scaled or turned borders is in between.
    if (canvas.clean || random.chance(0.5)) harden(layer);
    lay_over(canvas.image, layer);
  }
  if (soften && !canvas.clean) {
    note["seam"] = rounded(softness);
    soften_seam(canvas.image, layer, softness);
  }
  mark(canvas.mask, layer);
}

void adjust_colours(Layer& layer, const Tensor& host, Random& random, Json& note) {
  constexpr std::array<double, 4> kShares{0.4, 0.35, 0.13, 0.12};
  const std::size_t way = draw_index(random, kShares);
  const double strength = random.uniform(0.3, 1), gamma = draw_log(random, 0.65, 1.55);
  const double brightness = random.uniform(-0.12, 0.12), contrast = random.uniform(-0.3, 0.3);
  if (way == 1) {
    note["colour_match"] = rounded(strength);
    match_colours(layer, host, strength);
  } else if (way == 2) {
    note["gamma"] = rounded(gamma);
    apply_gamma(layer, gamma);
  } else if (way == 3) {
    note["brightness_contrast"] = {rounded(brightness), rounded(contrast)};
    layer.image = brightness_contrast(layer.image, brightness, contrast);
  }
}

// Scale and turn of a placement: often none.
void draw_turn(Placement& p, double straight, Random& random) {
  if (random.chance(straight)) return;
  p.angle = random.chance(0.8) ? random.uniform(-0.35, 0.35) : random.uniform(-M_PI, M_PI);
}

// A place of the region's middle so that most of it is inside; a whole number of pixels away where nothing is
// scaled or turned, so that pixels are copied and not interpolated.
void draw_target(Placement& p, const Bounds& b, Size host, Random& random) {
  p.from_y = middle(b.y0, b.y1);
  p.from_x = middle(b.x0, b.x1);
  const auto along = [&](i64 side, i64 region, double from) {
    const double inset =
        std::min(0.42 * p.scale * static_cast<double>(region), 0.5 * static_cast<double>(side));
    return from + std::round(random.uniform(inset, static_cast<double>(side) - inset) - from);
  };
  p.to_y = along(host.height, b.height(), p.from_y);
  p.to_x = along(host.width, b.width(), p.from_x);
}

void describe(const Placement& p, Json& note) {
  if (p.scale != 1) note["scale"] = rounded(p.scale);
  if (p.angle != 0) note["degrees"] = rounded(p.angle * 180 / M_PI);
  if (p.mirrored) note["mirrored"] = true;
}

// Grown by a square of side 2 r + 1.
Tensor grown(const Tensor& mask, i64 r) {
  const i64 h = mask.dim(0), w = mask.dim(1);
  Tensor across = zeros({h, w}, DType::u8), result = zeros({h, w}, DType::u8);
  for (i64 y = 0; y < h; ++y)
    for (i64 x = 0; x < w; ++x)
      if (mask.data<u8>()[y * w + x])
        std::fill(across.data<u8>() + y * w + std::max(i64{0}, x - r),
                  across.data<u8>() + y * w + std::min(w, x + r + 1), u8{255});
  for (i64 y = 0; y < h; ++y)
    for (i64 v = std::max(i64{0}, y - r); v < std::min(h, y + r + 1); ++v)
      for (i64 x = 0; x < w; ++x) result.data<u8>()[y * w + x] |= across.data<u8>()[v * w + x];
  return result;
}

// What retouching does to the part of an image around a region.
Tensor retouched(const Tensor& part, Random& random, Json& note) {
  constexpr std::array<double, 6> kShares{0.2, 0.2, 0.2, 0.2, 0.12, 0.08};
  switch (draw_index(random, kShares)) {
    case 0: {
      const double sigma = random.uniform(0.8, 2.5);
      note["blur"] = rounded(sigma);
      return gaussian_blur_sigma(part, sigma);
    }
    case 1: {
      const double factor = random.uniform(0.3, 0.75);
      note["resampled"] = rounded(factor);
      const auto reduced = [&](i64 side) {
        return std::max(i64{1}, static_cast<i64>(static_cast<double>(side) * factor));
      };
      return resize_smooth(resize_smooth(part, reduced(part.dim(0)), reduced(part.dim(1))), part.dim(0),
                           part.dim(1));
    }
    case 2: {
      const double deviation = random.uniform(2, 8);
      note["noise"] = rounded(deviation);
      return camera_noise(part, deviation, random.chance(0.5) ? random.uniform(0.4, 1) : 0,
                          draw_seed(random));
    }
    case 3: {
      const double brightness = random.uniform(-0.2, 0.2), contrast = random.uniform(-0.4, 0.4);
      const i64 turn = random.chance(0.25) ? random.integer(1, 2) : 0;  // of the colour channels
      note["recoloured"] = {rounded(brightness), rounded(contrast), turn};
      Tensor result = brightness_contrast(part, brightness, contrast);
      u8* p = result.data<u8>();
      for (i64 i = 0; turn > 0 && i < part.numel(); i += 3) std::rotate(p + i, p + i + turn, p + i + 3);
      return result;
    }
    case 4: {
      const Compression c = draw_compression(random, 25, 75);
      note["jpeg"] = c.quality;
      return jpeg_round_trip(part, c.quality, c.subsampling);
    }
    default: {
      const double amount = random.uniform(1, 2.5);
      note["sharpened"] = rounded(amount);
      return sharpen(part, amount, 1.2);
    }
  }
}

}  // namespace

void splice(Canvas& canvas, const Source& donor, double share, const SampleOptions& options, Random& random) {
  const Size host = canvas.size();
  Placement p;
  if (!random.chance(0.35))
    p.scale = random.chance(0.7) ? draw_log(random, 0.7, 1.4) : draw_log(random, 0.5, 1.8);
  const double relative = random.uniform(0.85, 1.25);
  const auto side = [&](i64 s) {
    return std::max(i64{32}, static_cast<i64>(static_cast<double>(s) * relative));
  };
  const Size size{side(host.height), side(host.width)};
  const double wanted = share / (relative * relative * p.scale * p.scale);
  const History history = options.clean ? History{} : draw_history(random);
  const Tensor picture = history.apply(draw_picture(donor, history.before(size), random), size);
  const Region region = draw_region(picture, std::clamp(wanted, 0.003, 0.55), random);
  draw_turn(p, 0.55, random);
  p.mirrored = random.chance(0.25);
  p.cubic = random.chance(0.5);
  draw_target(p, bounds_of(region.mask), host, random);
  Layer layer = place(picture, region.mask, p, host.height, host.width);
  if (!layer.image) return;
  Json note{{"donor", donor.key}, {"region", region.shape}, {"donor_history", to_json(history)}};
  describe(p, note);
  adjust_colours(layer, canvas.image, random, note);
  join(canvas, layer, {0.22, 0.5}, random, note);
  canvas.notes.push_back(std::move(note));
}

void splice_cutout(Canvas& canvas, const Source& cutout, double share, Random& random) {
  const Size host = canvas.size();
  const Tensor& rgba = cutout.levels[0];
  double visible = 0;
  for (i64 i = 3; i < rgba.numel(); i += 4) visible += rgba.data<u8>()[i] / 255.0;
  const double scale =
      std::min(2.0, std::sqrt(share * static_cast<double>(host.height * host.width) / visible));
  const auto side = [&](int axis) {
    return std::max(i64{16}, static_cast<i64>(std::lround(static_cast<double>(rgba.dim(axis)) * scale)));
  };
  const Size size{side(0), side(1)};
  const History history = canvas.clean ? History{} : draw_history(random);
  const Piece piece = draw_piece(rgba, size, history);
  Placement p;
  if (random.chance(0.4)) p.scale = draw_log(random, 0.8, 1.2);
  draw_turn(p, 0.55, random);
  p.mirrored = random.chance(0.5);
  p.cubic = random.chance(0.5);
  draw_target(p, bounds_of(piece.alpha), host, random);
  Layer layer = place(piece.image, piece.alpha, p, host.height, host.width);
  if (!layer.image) return;
  Json note{{"donor", cutout.key}, {"region", "cut-out"}, {"donor_history", to_json(history)}};
  describe(p, note);
  adjust_colours(layer, canvas.image, random, note);
  join(canvas, layer, {0, 0.5}, random, note);
  canvas.notes.push_back(std::move(note));
}

void copy_move(Canvas& canvas, double share, Random& random) {
  const Size host = canvas.size();
  const Region region = draw_region(canvas.image, std::min(share, 0.25), random);
  const Bounds b = bounds_of(region.mask);
  Placement p;
  if (random.chance(0.4)) p.scale = draw_log(random, 0.75, 1.35);
  draw_turn(p, 0.65, random);
  p.mirrored = random.chance(0.1);
  p.cubic = random.chance(0.5);
  // A copy that covers its original would be hardly visible.
  bool apart = false;
  for (int attempt = 0; attempt < 12 && !apart; ++attempt) {
    draw_target(p, b, host, random);
    apart = std::abs(p.to_y - p.from_y) >= 0.8 * static_cast<double>(b.height()) ||
            std::abs(p.to_x - p.from_x) >= 0.8 * static_cast<double>(b.width());
  }
  Layer layer = place(canvas.image, region.mask, p, host.height, host.width);
  if (!layer.image || !apart) return;
  Json note{{"region", region.shape}, {"from", {p.from_x, p.from_y}}, {"to", {p.to_x, p.to_y}}};
  describe(p, note);
  if (!canvas.clean && random.chance(0.2)) adjust_colours(layer, canvas.image, random, note);
  join(canvas, layer, {0.2, 0.45}, random, note);
  canvas.notes.push_back(std::move(note));
}

void remove(Canvas& canvas, double share, Random& random) {
  // Without texture only small places can be filled unseen.
  const bool textured = random.chance(0.85);
  const Region region = draw_region(canvas.image, std::min(share, textured ? 0.16 : 0.03), random);
  const Tensor mask = region.shape == "segments" ? grown(region.mask, 2) : region.mask;
  if (std::count(mask.data<u8>(), mask.data<u8>() + mask.numel(), u8{0}) == 0) return;
  canvas.image = textured ? inpaint(canvas.image, mask) : inpaint_smooth(canvas.image, mask);
  for (i64 i = 0; i < mask.numel(); ++i) canvas.mask.data<u8>()[i] |= mask.data<u8>()[i];
  canvas.notes.push_back({{"region", region.shape}, {"inpainting", textured ? "textured" : "smooth"}});
}

void retouch(Canvas& canvas, double share, Random& random) {
  const Region region = draw_region(canvas.image, share, random);
  const Bounds b = bounds_of(region.mask);
  constexpr i64 kAround = 8;
  const i64 y0 = std::max(i64{0}, b.y0 - kAround), x0 = std::max(i64{0}, b.x0 - kAround);
  const i64 h = std::min(canvas.mask.dim(0), b.y1 + kAround) - y0,
            w = std::min(canvas.mask.dim(1), b.x1 + kAround) - x0;
  Json note{{"region", region.shape}};
  Layer layer{y0, x0, retouched(crop(canvas.image, y0, x0, h, w), random, note),
              crop(region.mask, y0, x0, h, w)};
  join(canvas, layer, {0, 0.6}, random, note);
  canvas.notes.push_back(std::move(note));
}

}  // namespace bp
