// Prediction maps of whole data sets scored under a protocol (metrics.h), with what chance gives and the
// usual reasons for a score of 0 beside it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/iml/datasets.h"
#include "apps/iml/metrics.h"

namespace bp {

struct EvalOptions {
  Protocol protocol = Protocol::paper;
  double threshold = 0.5;
  bool normalize =
      false;         // stretch each map to [0,1] first; image-level scores stay those of the map as it is
  i64 top_k = 1;     // an image's score is the mean of its k largest probabilities
  bool all = false;  // score the pixels of authentic images, too, against an empty mask
  bool mean_mask = false;  // also what the mean of the set's true masks would score
};

// The baseline of somebody who has seen all true masks but none of the images: the mean of the set's masks at
// 64 x 64, the same for every image, at the threshold that is best for it.
struct MeanMask {
  double f1 = 0, threshold = 0;  // of the mean divided by its highest value
  std::optional<double> auc;
};

// One image that was scored. An image whose mask is all black counts as authentic.
struct ScoredImage {
  Sample sample;
  bool manipulated = false;
  i64 height = 0, width = 0;            // of the map
  i64 true_height = 0, true_width = 0;  // of the mask; 0 without one
  bool pixels = false;                  // f1, iou, auc, ones_* and inverted_f1 are there
  double f1 = 0, iou = 0;
  std::optional<double> auc;
  double ones_f1 = 0, ones_iou = 0;  // of a map that is white everywhere
  double inverted_f1 = 0;            // of 1 - map
  double image_score = 0;
  int highest = 0;  // value of the map, 0 to 255
};

// The same set after something happened to its images (perturb.h).
struct PerturbedScores {
  std::string family, name;
  double level = 0;
  double f1 = 0, iou = 0, best_f1 = 0;  // best_f1 at the best threshold for these images
  std::optional<double> auc;
  std::size_t scored = 0;
};

struct SetScores {
  std::string name, layout;
  std::vector<ScoredImage> images;   // in the data set's order
  std::vector<std::string> failed;   // "a.jpg: why": not scored
  std::vector<std::string> reasons;  // what is likely wrong with the maps, a line each
  // Means over the images whose pixels were scored. A constant map has F1 ones_f1 or 0 and AUC 0.5.
  std::size_t scored = 0;
  double f1 = 0, iou = 0, ones_f1 = 0, ones_iou = 0;
  std::optional<double> auc;
  std::optional<MeanMask> mean_mask;            // where it was asked for and something was scored
  ThresholdCurve::Best best;                    // the shared threshold of the highest mean F1
  std::array<double, 255> f1_at{};              // mean F1 at threshold k/255
  std::array<double, kRocPoints> roc{};         // mean over images; zeros where no mask has both classes
  std::optional<ImageLevel> image_level;        // where manipulated and authentic images were scored
  double ones_accuracy = 0, ones_image_f1 = 0;  // image level of "everything is manipulated"
  std::vector<PerturbedScores> perturbed;       // filled by who perturbs
};

// Scores every sample with the map that map_of(index of the sample) gives, u8 or f32 [H,W]; its Errors fail
// that image only. map_of is called from several threads. `each` is called once per sample when it is done.
// `stop` is asked before each; what was not begun is neither scored nor failed.
SetScores evaluate(const Dataset& set, const std::function<Tensor(std::size_t)>& map_of,
                   const EvalOptions& options, const std::function<void()>& each = {},
                   const std::function<bool()>& stop = {});

// Which file of a folder of maps belongs to which sample, as masks belong to images (files.h); empty: none.
struct MapFiles {
  std::vector<fs::path> maps;        // one per sample
  std::vector<std::string> missing;  // "a.jpg: why"
  std::size_t strays = 0;            // maps of no sample
};
MapFiles find_maps(const Dataset& set, const fs::path& folder);

// The mean of the three channels, rounded, of an image file: u8 [H,W].
Tensor load_map(const fs::path& path);

}  // namespace bp
