#include "apps/iml/teacher.h"

#include <algorithm>
#include <chrono>

#include "apps/iml/masks.h"
#include "weights/architecture.h"
#include "weights/load.h"

namespace bp {
namespace {

// Boxes that are decoded together: enough to fill the processor, few enough that their upscaled features stay
// small (each takes about 25 MB).
constexpr std::size_t kBatch = 8;

// Of [B,3,256,256] per prompt the mask with the highest predicted IoU: [B,1,256,256].
sam::Masks best_of(const sam::Masks& masks) {
  const i64 batch = masks.iou.dim(0), count = masks.iou.dim(1);
  const auto iou = masks.iou.values();
  std::vector<Tensor> logits;
  std::vector<float> best_iou;
  for (i64 b = 0; b < batch; ++b) {
    const auto row = iou.begin() + b * count;
    const auto best = std::max_element(row, row + count) - row;
    logits.push_back(masks.logits[b].slice(best, best + 1));
    best_iou.push_back(row[best]);
  }
  return {concat(logits, 0).reshape({batch, 1, 256, 256}), from_values({batch, 1}, best_iou)};
}

}  // namespace

std::unique_ptr<sam::Sam> load_sam(const std::string& path, Device device, DType dtype) {
  const ArchiveSource source(open_archive(path));
  const Architecture architecture = recognise(source);
  require(architecture.family == Architecture::Family::sam, path, ": ", architecture.name(),
          ", wanted a SAM checkpoint (", architecture_names(), ")");
  auto net = std::make_unique<sam::Sam>(architecture.variant);
  load(net->params(), source);
  net->prepare(device, dtype);
  return net;
}

void SamTeacher::ask(std::span<const Box> boxes,
                     const std::function<void(std::size_t, const Answer&)>& each) {
  for (std::size_t begin = 0; begin < boxes.size(); begin += kBatch) {
    const auto part = boxes.subspan(begin, std::min(kBatch, boxes.size() - begin));
    const auto start = std::chrono::steady_clock::now();
    sam::Query query;
    for (const Box& b : part) query.boxes.push_back({b.x0, b.y0, b.x1, b.y1});
    if (options_.best) query.wanted = sam::MaskSet::multi;
    sam::Masks masks = predictor_.predict(query);
    if (options_.best) masks = best_of(masks);
    for (int round = 0; round < options_.refine; ++round) {
      query.mask = masks.logits.reshape({static_cast<i64>(part.size()), 256, 256});
      query.wanted = sam::MaskSet::single;  // with a mask given, the prompt is no longer ambiguous
      masks = predictor_.predict(query);
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto at = static_cast<i64>(i);
      each(begin + i, {to(predictor_.at_original_size(masks.logits[at][0]), {}), masks.iou[at].item(),
                       taken.count() / static_cast<double>(part.size())});
    }
  }
}

void BoxTeacher::ask(std::span<const Box> boxes,
                     const std::function<void(std::size_t, const Answer&)>& each) {
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const Tensor mask = mask_of_boxes(boxes.subspan(i, 1), height_, width_);
    const Tensor logits = empty({height_, width_});
    for (i64 p = 0; p < mask.numel(); ++p) logits.data<float>()[p] = mask.data<u8>()[p] ? 20.0f : -20.0f;
    each(i, {logits, 0, 0});
  }
}

}  // namespace bp
