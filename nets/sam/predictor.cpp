#include "nets/sam/predictor.h"

#include <algorithm>

namespace bp::sam {

Frame Frame::of(i64 height, i64 width) {
  require(height > 0 && width > 0, "sam: image of ", width, "x", height);
  const double scale = static_cast<double>(kImageSize) / static_cast<double>(std::max(height, width));
  const auto resized = [&](i64 side) {
    return std::max<i64>(1, static_cast<i64>(static_cast<double>(side) * scale + 0.5));
  };
  return {height, width, resized(height), resized(width)};
}

Tensor preprocess(const Tensor& image, const Frame& frame) {
  static constexpr float kMean[3] = {123.675f, 116.28f, 103.53f};
  static constexpr float kStd[3] = {58.395f, 57.12f, 57.375f};
  return normalize_pad(resize_pil(image, frame.resized_height, frame.resized_width), kImageSize, kImageSize,
                       kMean, kStd);
}

Tensor postprocess(const Tensor& logits, const Frame& frame) {
  require(logits.shape() == Shape{256, 256}, "sam: logits ", logits.shape(), ", wanted [256,256]");
  const NoGrad no_grad;
  const Tensor large = resize_bilinear(logits.reshape({1, 256, 256, 1}), kImageSize, kImageSize);
  const Tensor inside = slice(slice(large, 1, 0, frame.resized_height), 2, 0, frame.resized_width);
  return resize_bilinear(inside, frame.height, frame.width).reshape({frame.height, frame.width});
}

void Predictor::set_image(const Tensor& image) {
  require(image.rank() == 3 && image.dim(2) == 3 && image.dtype() == DType::u8, "sam: image ", image.shape(),
          " of ", name_of(image.dtype()), ", wanted u8 [H,W,3]");
  frame_ = Frame::of(image.dim(0), image.dim(1));
  embedding_ = sam_->encode(preprocess(to(image, sam_->device()), frame_));
}

void Predictor::set_embedding(const Frame& frame, const Tensor& embedding) {
  require(embedding.shape() == Shape{1, 64, 64, 256}, "sam: embedding ", embedding.shape(),
          ", wanted [1,64,64,256]");
  frame_ = frame;
  embedding_ = embedding;
}

Masks Predictor::predict(const Query& query) const {
  require(embedding_.defined(), "sam: predict before set_image");
  const i64 batch = query.boxes.empty() ? 1 : static_cast<i64>(query.boxes.size());
  require(query.points.empty() || static_cast<i64>(query.points.size()) == batch,
          "sam: ", query.points.size(), " lists of points for ", batch, " prompts");
  // SAM scales each axis by its own rounded ratio, in double precision.
  const double sx = static_cast<double>(frame_.resized_width) / static_cast<double>(frame_.width);
  const double sy = static_cast<double>(frame_.resized_height) / static_cast<double>(frame_.height);

  Prompts prompts;
  if (!query.boxes.empty()) {
    std::vector<float> values;
    for (const PixelBox& b : query.boxes)
      for (double v : {b.x0 * sx, b.y0 * sy, b.x1 * sx, b.y1 * sy}) values.push_back(static_cast<float>(v));
    prompts.boxes = from_values({batch, 4}, values);
  }
  if (!query.points.empty()) {
    const auto count = query.points[0].size();
    std::vector<float> xy, labels;
    for (const auto& list : query.points) {
      require(list.size() == count, "sam: prompts of one query need equally many points");
      for (const Point& p : list) {
        xy.push_back(static_cast<float>(p.x * sx));
        xy.push_back(static_cast<float>(p.y * sy));
        labels.push_back(p.foreground ? 1.0f : 0.0f);
      }
    }
    if (count) {
      prompts.points = from_values({batch, static_cast<i64>(count), 2}, xy);
      prompts.labels = from_values({batch, static_cast<i64>(count)}, labels);
    }
  }
  require(prompts.boxes.defined() || prompts.points.defined(), "sam: a query needs a box or a point");
  prompts.masks = query.mask;
  return sam_->decode(embedding_, prompts, query.wanted);
}

double stability_score(const Tensor& logits) {
  const std::vector<float> values = logits.values();
  const auto inner = std::count_if(values.begin(), values.end(), [](float v) { return v > 1.0f; });
  const auto outer = std::count_if(values.begin(), values.end(), [](float v) { return v > -1.0f; });
  return outer == 0 ? 0.0 : static_cast<double>(inner) / static_cast<double>(outer);
}

}  // namespace bp::sam
