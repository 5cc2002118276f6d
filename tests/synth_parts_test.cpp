// The parts that synthetic manipulations are made of: regions, segments, placements, blending, histories.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "apps/iml/filters.h"
#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "apps/iml/membrane.h"
#include "apps/iml/synth_blend.h"
#include "apps/iml/synth_history.h"
#include "apps/iml/synth_picture.h"
#include "apps/iml/synth_region.h"
#include "apps/iml/synth_segments.h"
#include "tests/errors.h"

using namespace bp;

namespace {

Tensor photograph() {
  return load_image(std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples/coffee_600x400.png");
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.data<u8>(), a.data<u8>() + a.numel(), b.data<u8>());
}

Tensor copy_of(const Tensor& t) {
  Tensor copy = empty_like(t);
  std::copy_n(t.data<u8>(), t.numel(), copy.data<u8>());
  return copy;
}

// A picture whose channels are f(y, x) + 0, 1, 2.
template <class F>
Tensor picture(i64 h, i64 w, const F& f) {
  Tensor t = empty({h, w, 3}, DType::u8);
  for (i64 y = 0; y < h; ++y)
    for (i64 x = 0; x < w; ++x)
      for (i64 c = 0; c < 3; ++c) t.data<u8>()[(y * w + x) * 3 + c] = static_cast<u8>(f(y, x) + c);
  return t;
}

Tensor box_mask(i64 h, i64 w, i64 y0, i64 x0, i64 y1, i64 x1) {
  Tensor m = zeros({h, w}, DType::u8);
  for (i64 y = y0; y < y1; ++y) std::fill_n(m.data<u8>() + y * w + x0, x1 - x0, u8{255});
  return m;
}

int worst_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  int worst = 0;
  for (i64 i = 0; i < a.numel(); ++i) worst = std::max(worst, std::abs(a.data<u8>()[i] - b.data<u8>()[i]));
  return worst;
}

Source source_of(const Tensor& image) {
  return {"photo", {image}};
}

}  // namespace

TEST_CASE("spread solves Laplace's equation: a harmonic function comes back from its border") {
  constexpr i64 kSide = 64;
  const auto f = [](i64 y, i64 x) {  // x^2 - y^2 + x y is harmonic, also on the grid
    const double u = static_cast<double>(x) / kSide, v = static_cast<double>(y) / kSide;
    return static_cast<float>(100 * (u * u - v * v + u * v));
  };
  Field field(kSide, kSide);
  for (i64 y = 0; y < kSide; ++y)
    for (i64 x = 0; x < kSide; ++x) {
      const auto i = static_cast<std::size_t>(y * kSide + x);
      const bool inside = std::hypot(static_cast<double>(y) - 31, static_cast<double>(x) - 33) < 28;
      field.roles[i] = inside ? Role::wanted : Role::known;
      // What is not at the border is no border condition, wild as it may be.
      const bool far = std::hypot(static_cast<double>(y) - 31, static_cast<double>(x) - 33) > 30;
      field.values[i] = Pixel4{} + (inside || far ? 1e4f : f(y, x));
    }
  spread(field);
  double worst = 0;
  for (i64 y = 0; y < kSide; ++y)
    for (i64 x = 0; x < kSide; ++x) {
      const auto i = static_cast<std::size_t>(y * kSide + x);
      if (field.roles[i] == Role::wanted)
        worst = std::max(worst, std::abs(static_cast<double>(field.values[i][1] - f(y, x))));
    }
  CHECK(worst < 1.5);  // of a range of 200
}

TEST_CASE("spread neither reads nor writes what is ignored, and gives islands a finite value") {
  Field field(1, 6);
  field.roles = {Role::known, Role::wanted, Role::ignored, Role::wanted, Role::wanted, Role::ignored};
  field.values[0] += 7.0f;
  field.values[2] += 1e9f;
  spread(field);
  CHECK(field.values[1][0] == doctest::Approx(7).epsilon(0.01));
  CHECK(field.values[2][0] == 1e9f);
  CHECK(std::isfinite(field.values[3][0]));
}

TEST_CASE("segments follow the picture: two halves are two, one is grown, its holes are filled") {
  const Tensor halves = picture(40, 60, [](i64, i64 x) { return x < 25 ? 40 : 180; });
  const Segments s = segment(halves, 200, 10);
  CHECK(s.count == 2);
  Random random(1, 2, 3);
  const Tensor grown = grow_segments(s, 25.0 / 60, random);
  REQUIRE(grown.defined());
  CHECK((same(grown, box_mask(40, 60, 0, 0, 40, 25)) || same(grown, box_mask(40, 60, 0, 25, 40, 60))));
  CHECK(!grow_segments(s, 0.02, random).defined());

  const Tensor ring = picture(40, 40, [](i64 y, i64 x) {
    const i64 d = std::max(std::abs(y - 20), std::abs(x - 20));
    return d < 4 ? 220 : d < 12 ? 120 : 20;
  });
  Random other(5, 2, 3);
  const Tensor disc = grow_segments(segment(ring, 100, 5), 0.3, other);
  REQUIRE(disc.defined());
  if (disc.data<u8>()[20 * 40 + 10]) CHECK(disc.data<u8>()[20 * 40 + 20] == 255);
}

TEST_CASE("segments below the least size are joined to a neighbour") {
  Tensor dotted = picture(30, 30, [](i64, i64) { return 50; });
  for (i64 c = 0; c < 3; ++c) dotted.data<u8>()[(15 * 30 + 15) * 3 + c] = 250;
  CHECK(segment(dotted, 10, 1).count == 2);
  CHECK(segment(dotted, 10, 2).count == 1);
}

TEST_CASE("snap_to_edges moves a border to the edge beside it") {
  const Tensor step = picture(40, 60, [](i64, i64 x) { return x < 30 ? 20 : 220; });
  const Tensor off = box_mask(40, 60, 0, 33, 40, 60), right = box_mask(40, 60, 0, 30, 40, 60);
  CHECK(mask_iou(off, right) < 0.92);
  CHECK(mask_iou(snap_to_edges(off, step, 6), right) > 0.96);
}

TEST_CASE("regions cover about the share that is asked for and lie inside") {
  const Tensor image = resize_smooth(photograph(), 256, 384);
  std::map<std::string, std::vector<double>> ratios;  // by shape, logarithmic
  for (std::uint64_t i = 0; i < 80; ++i) {
    Random random(7, i, 0);
    const double share = 0.02 + 0.02 * static_cast<double>(i % 8);
    const Region region = draw_region(image, share, random);
    CHECK(region.mask.shape() == Shape{256, 384});
    const double got = static_cast<double>(mask_area(region.mask)) / (256 * 384);
    CHECK(got > share / 6);  // a region may reach over the edge
    CHECK(got < share * 4.5);
    ratios[region.shape].push_back(std::log(got / share));
  }
  CHECK(ratios.size() == 5);
  CHECK(ratios["segments"].size() > 16);
  for (const auto& [shape, logs] : ratios) {
    CAPTURE(shape);
    double sum = 0;
    for (const double r : logs) sum += r;
    CHECK(std::abs(sum) < 0.45 * static_cast<double>(logs.size()));
  }
}

TEST_CASE("a placement by whole pixels copies, mirrored and turned ones land where they should") {
  const Tensor donor = picture(20, 30, [](i64 y, i64 x) { return 7 * y + x; });
  const Tensor alpha = box_mask(20, 30, 5, 10, 15, 20);
  const Layer moved =
      place(donor, alpha, {.from_y = 10, .from_x = 15, .to_y = 22, .to_x = 35, .cubic = true}, 40, 60);
  CHECK(mask_area(moved.alpha) == 100);
  Tensor host = zeros({40, 60, 3}, DType::u8), mask = zeros({40, 60}, DType::u8);
  lay_over(host, moved);
  mark(mask, moved);
  CHECK(same(mask, box_mask(40, 60, 17, 30, 27, 40)));
  CHECK(same(crop(host, 17, 30, 10, 10), crop(donor, 5, 10, 10, 10)));

  Tensor mirror = zeros({40, 60, 3}, DType::u8);
  lay_over(mirror, place(donor, alpha, {.from_y = 10, .from_x = 15, .to_y = 22, .to_x = 35, .mirrored = true},
                         40, 60));
  CHECK(same(crop(mirror, 17, 30, 10, 10), flip_horizontal(crop(donor, 5, 10, 10, 10))));

  Tensor turned = zeros({40, 60, 3}, DType::u8);
  lay_over(turned, place(donor, alpha,
                         {.from_y = 10, .from_x = 15, .to_y = 22, .to_x = 35, .angle = M_PI / 2}, 40, 60));
  const Tensor expected = crop(donor, 5, 10, 10, 10), found = crop(turned, 17, 30, 10, 10);
  CHECK(std::min(worst_difference(found, rotate90(expected, 1)),
                 worst_difference(found, rotate90(expected, 3))) <= 1);

  const Layer larger =
      place(donor, alpha, {.from_y = 10, .from_x = 15, .to_y = 20, .to_x = 30, .scale = 1.4}, 40, 60);
  Tensor area = zeros({40, 60}, DType::u8);
  mark(area, larger);
  CHECK(mask_area(area) == 196);
  CHECK(!place(donor, alpha, {.from_y = 10, .from_x = 15, .to_y = 400, .to_x = 30}, 40, 60).image.defined());
}

TEST_CASE("what is laid over seamlessly meets the host at its border and keeps its own gradients") {
  // A donor that is the host plus a constant has the host's gradients: the host comes back.
  const Tensor host = resize_smooth(photograph(), 100, 150);
  const Tensor darker = brightness_contrast(host, 0, -0.3);
  Tensor brighter = copy_of(darker);
  for (i64 i = 0; i < brighter.numel(); ++i)
    brighter.data<u8>()[i] = static_cast<u8>(brighter.data<u8>()[i] + 60);
  const Tensor alpha = box_mask(100, 150, 20, 30, 80, 120);
  Tensor result = copy_of(darker);
  const Layer layer = place(brighter, alpha, {.from_y = 50, .from_x = 75, .to_y = 50, .to_x = 75}, 100, 150);
  lay_seamlessly(result, layer);
  CHECK(worst_difference(result, darker) <= 1);

  // A constant donor over a ramp: the ramp again, without a step anywhere.
  const Tensor ramp = picture(100, 150, [](i64, i64 x) { return 20 + x; });
  Tensor filled = copy_of(ramp);
  lay_seamlessly(filled, place(full({100, 150, 3}, 90, DType::u8), alpha,
                               {.from_y = 50, .from_x = 75, .to_y = 50, .to_x = 75}, 100, 150));
  CHECK(worst_difference(filled, ramp) <= 4);
  int step = 0;
  for (i64 y = 0; y < 100; ++y)
    for (i64 x = 1; x < 150; ++x)
      step = std::max(
          step, std::abs(filled.data<u8>()[(y * 150 + x) * 3] - filled.data<u8>()[(y * 150 + x - 1) * 3]));
  CHECK(step <= 3);
}

TEST_CASE("feathering blends across the border, hardening does not") {
  const Tensor alpha = box_mask(40, 40, 10, 10, 30, 30);
  const Placement here{.from_y = 20, .from_x = 20, .to_y = 20, .to_x = 20};
  Layer layer = place(full({40, 40, 3}, 200, DType::u8), alpha, here, 40, 40);
  feather(layer, 2);
  Tensor host = full({40, 40, 3}, 60, DType::u8);
  lay_over(host, layer);
  const u8* row = host.data<u8>() + 20 * 40 * 3;
  CHECK(row[3 * 20] >= 199);
  CHECK(row[3 * 9] > 90);
  CHECK(row[3 * 9] < row[3 * 10]);
  CHECK(row[3 * 10] < 170);
  CHECK(row[3 * 2] == 60);
  harden(layer);
  Tensor hard = full({40, 40, 3}, 60, DType::u8);
  lay_over(hard, layer);
  CHECK(hard.data<u8>()[(20 * 40 + 9) * 3] == 60);
  CHECK(hard.data<u8>()[(20 * 40 + 10) * 3] == 200);
}

TEST_CASE("match_colours takes the host's mean and deviation, as far as it is told to") {
  const Tensor host = picture(40, 40, [](i64 y, i64) { return 150 + y; });
  const auto mean = [](const Tensor& t) {
    double sum = 0;
    for (i64 i = 0; i < t.numel(); ++i) sum += t.data<u8>()[i];
    return sum / static_cast<double>(t.numel());
  };
  const Tensor donor = picture(40, 40, [](i64, i64 x) { return 30 + 2 * x; });
  const auto matched = [&](double strength) {
    Layer layer{0, 0, copy_of(donor), full({40, 40}, 255, DType::u8)};
    match_colours(layer, host, strength);
    return mean(layer.image);
  };
  CHECK(std::abs(matched(1) - mean(host)) < 1);
  CHECK(std::abs(matched(0) - mean(donor)) < 1);
  CHECK(std::abs(matched(0.5) - (mean(host) + mean(donor)) / 2) < 1);
}

TEST_CASE("a history reaches the size it promises and does what it says") {
  for (std::uint64_t i = 0; i < 40; ++i) {
    Random random(3, i, 0);
    const History h = draw_history(random);
    const Size before = h.before({50, 70});
    const Tensor after = h.apply(full({before.height, before.width, 3}, 120, DType::u8), {50, 70});
    CHECK(after.shape() == Shape{50, 70, 3});
    CHECK(to_json(h).contains("jpeg") == h.first.has_value());
  }
  const Tensor image = crop(photograph(), 0, 0, 87, 101);
  CHECK(same(History{}.apply(image, {87, 101}), image));
  History cut;
  cut.cut_y = 3;
  cut.cut_x = 5;
  CHECK(cut.before({84, 96}).height == 87);
  CHECK(cut.before({84, 96}).width == 101);
  CHECK(same(cut.apply(image, {84, 96}), crop(image, 3, 5, 84, 96)));
  History jpeg;
  jpeg.first = Compression{60, Subsampling::s444};
  CHECK(same(jpeg.apply(image, {87, 101}), jpeg_round_trip(image, 60, Subsampling::s444)));
}

TEST_CASE(
    "camera_noise has about the deviation that is asked for, soft or not, and more where it is bright") {
  const auto deviation = [](double asked, double softness, float level) {
    const Tensor noisy = camera_noise(full({128, 128, 3}, level, DType::u8), asked, softness, 9);
    double sum = 0, squares = 0;
    for (i64 i = 0; i < noisy.numel(); ++i) {
      const double d = static_cast<double>(noisy.data<u8>()[i]) - static_cast<double>(level);
      sum += d;
      squares += d * d;
    }
    const auto n = static_cast<double>(noisy.numel());
    return std::sqrt(squares / n - sum * sum / n / n);
  };
  CHECK(deviation(4, 0, 128) == doctest::Approx(4).epsilon(0.1));
  CHECK(deviation(4, 0.7, 128) == doctest::Approx(4).epsilon(0.2));
  CHECK(deviation(4, 0, 200) > 1.3 * deviation(4, 0, 60));
}

TEST_CASE("pictures have the size asked for, whatever the photograph's") {
  const Tensor photo = photograph();
  for (std::uint64_t i = 0; i < 30; ++i) {
    Random random(11, i, 0);
    const Size size = draw_size(source_of(photo), 96, 256, random);
    CHECK(std::max(size.height, size.width) >= 96);
    CHECK(std::max(size.height, size.width) <= 256);
    const Tensor cut = draw_picture(source_of(photo), size, random);
    CHECK(cut.shape() == Shape{size.height, size.width, 3});
  }
  Random random(11, 99, 0);
  CHECK(draw_picture(source_of(crop(photo, 0, 0, 64, 64)), {300, 500}, random).shape() == Shape{300, 500, 3});
}

TEST_CASE("a cut-out is as opaque as it was, and its colours do not mix with what was hidden") {
  Tensor rgba = zeros({60, 60, 4}, DType::u8);
  for (i64 y = 20; y < 40; ++y)
    for (i64 x = 20; x < 40; ++x) {
      u8* p = rgba.data<u8>() + (y * 60 + x) * 4;
      p[0] = x < 30 ? 200 : 40, p[1] = 100, p[2] = 50, p[3] = 255;
    }
  History shifted;
  shifted.cut_y = 4;
  shifted.cut_x = 6;
  for (const History& h : {History{}, shifted}) {
    const Piece piece = draw_piece(rgba, {30, 30}, h);
    CHECK(piece.image.shape() == Shape{30, 30, 3});
    CHECK(std::abs(static_cast<double>(mask_area(piece.alpha)) - 121) < 40);
    for (i64 i = 0; i < 900; ++i) {
      if (piece.alpha.data<u8>()[i] <= 20) continue;
      CHECK(std::abs(piece.image.data<u8>()[3 * i + 1] - 100) <= 6);
      const i64 x = i % 30;
      if (x != 14 && x != 15) CHECK(std::abs(piece.image.data<u8>()[3 * i] - (x < 15 ? 200 : 40)) <= 6);
    }
  }
}
