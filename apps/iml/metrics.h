// Scores of a prediction map against a mask, under the field's two protocols. They differ in size, in
// rounding and in their epsilons, so a score says nothing without the protocol's name.
//
// `paper` (the evaluation of BoxPromptIML and its siblings): the map as 8 bits, resized bilinearly to the
// mask's
//   size, inside where value > 127;  F1 = 2TP / (2TP + FP + FN + 1e-6),  IoU = TP / (TP + FP + FN + 1e-6),
//   and 1 where prediction and mask are both empty.
// `benco` (IMDL-BenCo, arXiv 2406.10580: evaluation/F1.py, IOU.py, AUC.py): the mask, binary, resized by
// nearest to
//   the map's size, inside where p > 0.5;  P = TP / (TP + FP + 1e-8), R = TP / (TP + FN + 1e-8),
//   F1 = 2PR / (P + R + 1e-8),  IoU = TP / (TP + FP + FN + 1e-8). An empty mask scores 0, even a perfect
//   prediction.
// Both: the pixels' AUC where the mask has both classes, ties counted half; scores of a set are means over
// images.
#pragma once
#include <array>
#include <optional>
#include <span>

#include "engine/tensor.h"

namespace bp {

enum class Protocol : u8 { paper, benco };
const char* name_of(Protocol protocol);

struct Counts {
  i64 tp = 0, fp = 0, fn = 0;
};
double f1_of(const Counts& counts, Protocol protocol);
double iou_of(const Counts& counts, Protocol protocol);

// How many pixels of each class have each of 256 values. Everything of an 8-bit map follows from it.
struct Histogram {
  std::array<i64, 256> negative{}, positive{};

  Counts above(int level) const;  // predicted: value > level, level in -1 (everything) to 255 (nothing)
  std::optional<double> auc() const;
};
Histogram histogram_of(const Tensor& map, const Tensor& mask);  // u8 [H,W] both, inside where mask is not 0

// Area under the ROC: the share of (positive, negative) pairs that the scores put in order, ties half (Mann
// and Whitney's U). Without both classes there is none. Throws where a score is NaN.
std::optional<double> auc_of(std::span<const double> scores, std::span<const u8> positive);

struct PixelScores {
  double f1 = 0, iou = 0;     // at the threshold
  std::optional<double> auc;  // of an f32 map under `benco` over its exact values, else over 256
  Histogram histogram;        // value > k there is p > k/255, for f32 maps too
};

// `map` is u8 [H,W] (p = value/255) or f32 [H,W] of probabilities; `mask` u8 [H,W]; sizes may differ (see
// above). `paper` rounds f32 to 8 bits first. Inside is p > threshold. Throws where a probability is not in
// [0,1].
PixelScores score_pixels(const Tensor& map, const Tensor& mask, Protocol protocol, double threshold = 0.5);

// (p - min) / (max - min), as some evaluations do before all else; black for a constant map. It changes F1
// much.
Tensor normalize_map(const Tensor& map);

// Nearest: pixel y of the result is pixel floor(y h / oh) of the mask (OpenCV's INTER_NEAREST).
Tensor resize_mask(const Tensor& mask, i64 height, i64 width);

// An image's score from its map: the mean of its k largest probabilities; k = 1 is the maximum (MVSS-Net).
double image_score(const Tensor& map, i64 k = 1);

// Images as manipulated or authentic: manipulated where score > threshold. F1 = 2TP / (2TP + FP + FN), 0 for
// 0/0.
struct ImageLevel {
  double accuracy = 0, f1 = 0;
  std::optional<double> auc;
};
ImageLevel image_level(std::span<const double> scores, std::span<const u8> manipulated,
                       double threshold = 0.5);

// A set's mean F1 over the thresholds k/255, k = 0 to 254, from one histogram per image.
class ThresholdCurve {
 public:
  explicit ThresholdCurve(Protocol protocol) : protocol_(protocol) {}
  void add(const Histogram& image);
  std::array<double, 255> mean_f1() const;
  // The shared threshold with the highest mean F1, the lowest of equals.
  struct Best {
    double threshold = 0, f1 = 0;
  };
  Best best() const;

 private:
  Protocol protocol_;
  std::array<double, 255> sum_{};
  i64 images_ = 0;
};

// True positive rates at the false positive rates 0, 1/100, ..., 1 (vertical), straight between thresholds.
// Averaged over images, its area is their mean AUC to the grid's precision. Wants both classes.
constexpr int kRocPoints = 101;
std::array<double, kRocPoints> roc_of(const Histogram& histogram);

}  // namespace bp
