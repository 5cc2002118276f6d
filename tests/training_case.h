// A small data set for training: noise, with a brighter rectangle that the mask shows.
#pragma once
#include <string>

#include "apps/iml/image.h"
#include "apps/iml/random.h"
#include "engine/ops.h"
#include "tests/temp_folder.h"

// Writes Tp/k.png and Gt/k.png, k = 0 .. n - 1, of side x side pixels, under `root`.
inline void write_training_set(const std::filesystem::path& root, bp::i64 n, bp::i64 side) {
  using namespace bp;
  std::filesystem::create_directories(root / "Tp");
  std::filesystem::create_directories(root / "Gt");
  for (i64 k = 0; k < n; ++k) {
    Random random(9, static_cast<std::uint64_t>(k), 0);
    const i64 w = random.integer(side / 4, side / 2), h = random.integer(side / 4, side / 2);
    const i64 x0 = random.integer(0, side - w), y0 = random.integer(0, side - h);
    const Tensor image = empty({side, side, 3}, DType::u8), mask = zeros({side, side}, DType::u8);
    for (i64 y = 0; y < side; ++y)
      for (i64 x = 0; x < side; ++x) {
        const bool inside = x >= x0 && x < x0 + w && y >= y0 && y < y0 + h;
        mask.data<u8>()[y * side + x] = inside ? 255 : 0;
        for (i64 c = 0; c < 3; ++c)
          image.data<u8>()[(y * side + x) * 3 + c] =
              static_cast<u8>(random.integer(0, 99) + (inside ? 120 : 20));
      }
    const std::string name = std::to_string(k) + ".png";
    save_png(root / "Tp" / name, image);
    save_png(root / "Gt" / name, mask);
  }
}
