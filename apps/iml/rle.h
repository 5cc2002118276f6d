// Masks as COCO's run lengths (cocoapi, common/maskApi.c): the lengths of runs down the columns, column after
// column, beginning with a run of zeros. The compressed text writes each length, from the fourth on as the
// difference to the one two before it, in groups of 5 bits, lowest first, bit 6 saying that more follow, plus
// 48.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace bp {

struct Rle {
  i64 height = 0, width = 0;
  std::vector<std::uint32_t> counts;  // they add up to height x width
};

Rle rle_of(const Tensor& mask);          // u8 [H,W]; any value but 0 is inside
Tensor mask_of(const Rle& rle);          // u8 [H,W], 0 and 255; Error where the counts do not add up
i64 area_of(const Rle& rle);             // pixels inside
std::string compressed(const Rle& rle);  // the text of pycocotools
// Smaller, each pixel that of the original at its centre; height and width must not be larger.
Rle shrunk(const Rle& rle, i64 height, i64 width);
// Error where the text is damaged or the lengths do not add up to height x width.
Rle rle_from_text(std::string_view text, i64 height, i64 width);

}  // namespace bp
