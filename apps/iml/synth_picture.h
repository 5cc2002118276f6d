// Cuts of photographs as hosts and donors.
#pragma once
#include "apps/iml/synth_history.h"
#include "apps/iml/synth_sources.h"

namespace bp {

// The size of an image: the longest side around 384 mostly, anything between the bounds otherwise; usual
// proportions, upright or lying as the photograph is (mostly).
Size draw_size(const Source& photo, i64 least_side, i64 most_side, Random& random);

// u8 [H,W,3]: a random cut of 30 to 100 % of the photograph's sides with the proportions asked for, shrunk to
// that size (or taken as it is stored), perhaps mirrored. Photographs too small for it are enlarged.
Tensor draw_picture(const Source& photo, Size size, Random& random);

// A cut-out (premultiplied RGBA) shrunk or enlarged to a size, as a colour image whose transparent part has
// the object's mean colour, and alpha.
struct Piece {
  Tensor image, alpha;
};
Piece draw_piece(const Tensor& premultiplied, Size size, const History& history);

}  // namespace bp
