// From a prompt to masks: SAM's four answers to a box and points, at a size for the page and at the image's.
#pragma once
#include "apps/annotate/annotation.h"
#include "apps/annotate/embeddings.h"
#include "apps/iml/rle.h"

namespace bp::annotate {

// The single mask and then SAM's three.
struct Answer4 {
  sam::Frame frame;
  Tensor logits;           // [4,256,256] on the processor
  std::vector<float> iou;  // predicted, 4 of them
};

// The size of masks for the page: no side above 1024, never enlarged.
ImageSize display_size(const ImageSize& image);

class Masks {
 public:
  explicit Masks(const sam::Sam& sam) : sam_(sam), answers_(kAnswerBytes) {}

  // Runs the decoder unless the same was asked before.
  std::shared_ptr<const Answer4> ask(std::size_t image, const Prompt& prompt, const Embedding& embedding);

  static Rle for_page(const Answer4& answer, i64 index);
  static Rle full_size(const Answer4& answer, i64 index);

 private:
  static constexpr std::size_t kAnswerBytes = 128u << 20;  // a MiB each

  const sam::Sam& sam_;
  Lru<std::pair<std::size_t, Prompt>, std::shared_ptr<const Answer4>> answers_;
};

}  // namespace bp::annotate
