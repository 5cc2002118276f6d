#include "apps/iml/membrane.h"

#include <algorithm>
#include <array>

namespace bp {
namespace {

constexpr int kSweeps = 10;
constexpr float kOverrelaxation = 1.5f;

std::size_t at(i64 i) {
  return static_cast<std::size_t>(i);
}

bool at_border(const Field& f, i64 y, i64 x) {
  for (i64 v = std::max(i64{0}, y - 1); v < std::min(f.height, y + 2); ++v)
    for (i64 u = std::max(i64{0}, x - 1); u < std::min(f.width, x + 2); ++u)
      if (f.roles[at(v * f.width + u)] == Role::wanted) return true;
  return false;
}

// A cell of 2 x 2 is known, with their mean, if any of them is at the border of what is wanted (values
// further out are no border condition); else wanted if any is.
Field coarser(const Field& fine) {
  Field coarse((fine.height + 1) / 2, (fine.width + 1) / 2);
  for (i64 y = 0; y < coarse.height; ++y)
    for (i64 x = 0; x < coarse.width; ++x) {
      Pixel4 sum{};
      float known = 0;
      bool wanted = false;
      for (i64 v = 2 * y; v < std::min(2 * y + 2, fine.height); ++v)
        for (i64 u = 2 * x; u < std::min(2 * x + 2, fine.width); ++u) {
          const std::size_t i = at(v * fine.width + u);
          wanted |= fine.roles[i] == Role::wanted;
          if (fine.roles[i] != Role::known || !at_border(fine, v, u)) continue;
          sum += fine.values[i];
          known += 1;
        }
      const std::size_t i = at(y * coarse.width + x);
      coarse.roles[i] = known > 0 ? Role::known : wanted ? Role::wanted : Role::ignored;
      if (known > 0) coarse.values[i] = sum / known;
    }
  return coarse;
}

// Bilinear with weights 9, 3, 3, 1, of the cells that are not ignored.
Pixel4 from_coarse(const Field& coarse, i64 y, i64 x) {
  const i64 v = y / 2, u = x / 2;
  const i64 v2 = std::clamp(v + (y % 2 ? 1 : -1), i64{0}, coarse.height - 1);
  const i64 u2 = std::clamp(u + (x % 2 ? 1 : -1), i64{0}, coarse.width - 1);
  const std::array<std::pair<i64, float>, 4> cells{{{v * coarse.width + u, 9.0f},
                                                    {v * coarse.width + u2, 3.0f},
                                                    {v2 * coarse.width + u, 3.0f},
                                                    {v2 * coarse.width + u2, 1.0f}}};
  Pixel4 sum{};
  float total = 0;
  for (const auto& [i, weight] : cells) {
    if (coarse.roles[at(i)] == Role::ignored) continue;
    sum += coarse.values[at(i)] * weight;
    total += weight;
  }
  return sum / total;  // the cell it lies in is not ignored
}

void relax(Field& f, i64 y, i64 x) {
  const std::size_t i = at(y * f.width + x);
  Pixel4 sum{};
  float n = 0;
  const auto take = [&](bool inside, std::size_t j) {
    if (!inside || f.roles[j] == Role::ignored) return;
    sum += f.values[j];
    n += 1;
  };
  take(y > 0, i - at(f.width));
  take(y + 1 < f.height, i + at(f.width));
  take(x > 0, i - 1);
  take(x + 1 < f.width, i + 1);
  if (n > 0) f.values[i] += (sum / n - f.values[i]) * kOverrelaxation;
}

}  // namespace

void spread(Field& field) {
  std::vector<std::pair<i64, i64>> wanted;
  for (i64 y = 0; y < field.height; ++y)
    for (i64 x = 0; x < field.width; ++x)
      if (field.roles[at(y * field.width + x)] == Role::wanted) wanted.emplace_back(y, x);
  if (wanted.empty() || wanted.size() == field.roles.size() || field.roles.size() == 1) return;
  Field coarse = coarser(field);
  spread(coarse);
  for (const auto& [y, x] : wanted) field.values[at(y * field.width + x)] = from_coarse(coarse, y, x);
  for (int sweep = 0; sweep < kSweeps; ++sweep)
    for (const i64 colour : {0, 1})  // red-black: an update reads only the other colour
      for (const auto& [y, x] : wanted)
        if ((x + y) % 2 == colour) relax(field, y, x);
}

}  // namespace bp
