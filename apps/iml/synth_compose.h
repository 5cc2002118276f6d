// One synthetic sample: a function of its number, the seed, the options and the sources.
#pragma once
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/iml/boxes.h"
#include "apps/iml/synth_history.h"
#include "apps/iml/synth_sources.h"

namespace bp {

enum class Manipulation : u8 { splice, copy_move, removal, retouch };
constexpr std::array<const char*, 4> kManipulations{"splice", "copy-move", "removal", "retouch"};

struct SampleOptions {
  std::uint64_t seed = 0;
  i64 least_side = 256, most_side = 1024;              // bounds of the longest side
  std::array<double, 4> kinds{0.45, 0.3, 0.12, 0.13};  // weights, in the order of Manipulation
  double cutouts = 0.4;  // share of splices that take a cut-out, if there are any
  double loose = 0.15;   // of boxes: see loosen
  bool clean = false;    // no histories and no soft borders: outside the mask every pixel is the host's
};

struct SyntheticSample {
  Tensor image;                            // u8 [H,W,3]; before the final JPEG
  std::optional<Compression> compression;  // the final JPEG
  Tensor mask;             // u8 [H,W], 255 where manipulated; undefined for an authentic image
  Tensor host;             // of an authentic size: what `image` was before the manipulation and the end
  std::vector<Box> boxes;  // coarse, as people draw them; one for each region
  nlohmann::ordered_json record;  // what was done
};

// `cutouts` may be null. Throws Error where no source can be read.
SyntheticSample make_sample(i64 index, bool authentic, const SampleOptions& options, SourceStore& photos,
                            SourceStore* cutouts);

// A box as a person draws it: each side of the tight one moves outwards by up to `loose` of the box's width
// or height, or inwards by up to a third of that; clipped to the image and never empty.
Box loosen(const Box& tight, double loose, i64 height, i64 width, Random& random);

}  // namespace bp
