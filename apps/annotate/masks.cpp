#include "apps/annotate/masks.h"

#include <algorithm>

#include "kernels/threads.h"

namespace bp::annotate {
namespace {

Rle thresholded(const Tensor& logits) {
  const Tensor mask = empty({logits.dim(0), logits.dim(1)}, DType::u8);
  const float* from = logits.data<float>();
  u8* to = mask.data<u8>();
  parallel_for(logits.numel(), 1 << 18, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) to[i] = from[i] > 0 ? 255 : 0;
  });
  return rle_of(mask);
}

}  // namespace

ImageSize display_size(const ImageSize& image) {
  const sam::Frame frame = sam::Frame::of(image.height, image.width);
  return {std::min(image.width, frame.resized_width), std::min(image.height, frame.resized_height)};
}

std::shared_ptr<const Answer4> Masks::ask(std::size_t image, const Prompt& prompt,
                                          const Embedding& embedding) {
  const std::pair key{image, prompt};
  if (const auto known = answers_.get(key)) return *known;
  const auto turn = turn_at(sam_.device());
  const Urgent somebody_waits;
  sam::Predictor predictor(sam_);
  predictor.set_embedding(embedding.frame, embedding.values);
  sam::Query query{.boxes = {{prompt.x0, prompt.y0, prompt.x1, prompt.y1}},
                   .points = {},
                   .mask = {},
                   .wanted = sam::MaskSet::all};
  if (!prompt.points.empty()) {
    query.points.emplace_back();
    for (const PromptPoint& p : prompt.points) query.points[0].push_back({p.x, p.y, p.positive});
  }
  const sam::Masks masks = predictor.predict(query);
  auto answer = std::make_shared<const Answer4>(
      Answer4{embedding.frame, to(masks.logits, Device{}).reshape({4, 256, 256}), masks.iou.values()});
  answers_.put(key, answer, static_cast<std::size_t>(answer->logits.numel()) * sizeof(float));
  return answer;
}

Rle Masks::for_page(const Answer4& answer, i64 index) {
  const Urgent somebody_waits;
  sam::Frame frame = answer.frame;
  const ImageSize size = display_size({frame.width, frame.height});
  frame.width = size.width;
  frame.height = size.height;
  return thresholded(sam::postprocess(answer.logits[index], frame));
}

Rle Masks::full_size(const Answer4& answer, i64 index) {
  const Urgent somebody_waits;
  return thresholded(sam::postprocess(answer.logits[index], answer.frame));
}

}  // namespace bp::annotate
