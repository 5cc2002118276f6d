#include "apps/iml/evaluate.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "engine/error.h"
#include "engine/ops.h"
#include "kernels/threads.h"

namespace bp {
namespace {

struct Outcome {
  bool done = false;
  ScoredImage image;
  Histogram histogram;
  std::string error;
};

// Of 1 - map: inside where value < 255 (1 - threshold).
Counts inverted(const Histogram& h, double threshold) {
  const Counts kept = h.above(static_cast<int>(std::ceil(255 * (1 - threshold) - 1e-9)) - 1),
               all = h.above(-1);
  return {kept.fn, all.fp - kept.fp, kept.tp};
}

int highest_of(const Tensor& map) {
  if (map.dtype() == DType::u8) return *std::max_element(map.data<u8>(), map.data<u8>() + map.numel());
  return static_cast<int>(255 * *std::max_element(map.data<float>(), map.data<float>() + map.numel()));
}

void score_one(const Sample& sample, const Tensor& map, const EvalOptions& options, Outcome& out) {
  ScoredImage& r = out.image;
  r.sample = sample;
  r.height = map.dim(0), r.width = map.dim(1);
  r.image_score = image_score(map, options.top_k);
  r.highest = highest_of(map);
  Tensor mask = zeros({r.height, r.width}, DType::u8);
  if (!sample.authentic()) {
    mask = load_truth(sample);
    r.true_height = mask.dim(0), r.true_width = mask.dim(1);
  }
  r.manipulated = mask_area(mask) > 0;
  r.pixels = r.manipulated || options.all;
  if (!r.pixels) return;
  const PixelScores s =
      score_pixels(options.normalize ? normalize_map(map) : map, mask, options.protocol, options.threshold);
  const Counts ones = s.histogram.above(-1);
  r.f1 = s.f1, r.iou = s.iou, r.auc = s.auc;
  r.ones_f1 = f1_of(ones, options.protocol), r.ones_iou = iou_of(ones, options.protocol);
  r.inverted_f1 = f1_of(inverted(s.histogram, options.threshold), options.protocol);
  out.histogram = s.histogram;
}

void add_pixel_means(SetScores& s, const std::vector<Outcome>& outcomes, Protocol protocol) {
  ThresholdCurve curve(protocol);
  double auc = 0;
  std::size_t with_auc = 0;
  for (const Outcome& o : outcomes) {
    if (!o.done || !o.image.pixels) continue;
    ++s.scored;
    s.f1 += o.image.f1, s.iou += o.image.iou;
    s.ones_f1 += o.image.ones_f1, s.ones_iou += o.image.ones_iou;
    curve.add(o.histogram);
    if (!o.image.auc) continue;
    ++with_auc;
    auc += *o.image.auc;
    if (!o.histogram.auc()) continue;
    const auto roc = roc_of(o.histogram);
    for (std::size_t i = 0; i < roc.size(); ++i) s.roc[i] += roc[i];
  }
  if (s.scored == 0) return;
  for (double* mean : {&s.f1, &s.iou, &s.ones_f1, &s.ones_iou}) *mean /= static_cast<double>(s.scored);
  s.f1_at = curve.mean_f1();
  s.best = curve.best();
  if (with_auc == 0) return;
  s.auc = auc / static_cast<double>(with_auc);
  for (double& y : s.roc) y /= static_cast<double>(with_auc);
}

void add_image_level(SetScores& s, double threshold) {
  std::vector<double> scores;
  std::vector<u8> manipulated;
  for (const ScoredImage& i : s.images) {
    scores.push_back(i.image_score);
    manipulated.push_back(i.manipulated);
  }
  const ImageLevel level = image_level(scores, manipulated, threshold);
  if (!level.auc) return;
  s.image_level = level;
  const ImageLevel ones = image_level(std::vector<double>(scores.size(), 1.0), manipulated, 0.5);
  s.ones_accuracy = ones.accuracy, s.ones_image_f1 = ones.f1;
}

// The usual causes of an F1 near 0, each from what it leaves in the scores.
void add_reasons(SetScores& s, double threshold) {
  std::size_t black = 0, faint = 0, labels = 0, resized = 0, misshapen = 0, turned = 0;
  double inverted_f1 = 0;
  const ScoredImage* example = nullptr;
  for (const ScoredImage& i : s.images) {
    if (!i.pixels || !i.manipulated) continue;
    inverted_f1 += i.inverted_f1;
    black += i.highest == 0;
    labels += i.highest == 1;
    faint += i.highest > 1 && i.highest <= 255 * threshold;
    const bool other = i.true_height > 0 && (i.height != i.true_height || i.width != i.true_width);
    resized += other;
    const auto h = static_cast<double>(i.height), w = static_cast<double>(i.width),
               th = static_cast<double>(i.true_height), tw = static_cast<double>(i.true_width);
    turned += other && i.height == i.true_width && i.width == i.true_height;
    // Square maps are what networks give; else the shape should be the mask's, up to rounding.
    if (other && i.height != i.width && std::fabs(h * tw - w * th) > 0.03 * h * tw) {
      ++misshapen;
      if (!example) example = &i;
    }
  }
  if (s.scored == 0) return;
  inverted_f1 /= static_cast<double>(s.scored);
  const auto say = [&](const auto&... parts) { s.reasons.push_back(text(parts...)); };
  if (inverted_f1 > 1.5 * s.f1 + 0.02 && s.auc && *s.auc < 0.4)
    say("the maps look inverted: F1 of 1 - map is ", std::round(1e4 * inverted_f1) / 1e4, ", AUC ",
        std::round(1e4 * *s.auc) / 1e4, "; white must mean tampered");
  if (black > 0) say(black, " of ", s.scored, " maps are all black");
  if (labels > 0)
    say(labels, " of ", s.scored,
        " maps hold nothing above 1 of 255: labels or probabilities saved without times 255");
  if (2 * faint > s.scored)
    say(faint, " of ", s.scored,
        " maps have no value above the threshold; see the best threshold, or --normalize");
  if (misshapen > 0)
    say(misshapen, " of ", s.scored, " maps have another shape than their mask (", example->sample.key,
        ": map ", example->width, "x", example->height, ", mask ", example->true_width, "x",
        example->true_height, ")",
        turned > 0 ? "; some are turned by 90 degrees" : ": cropped, padded or of another image?");
  if (s.reasons.empty() && s.f1 < 0.5 * s.ones_f1 && s.auc && *s.auc < 0.55 && *s.auc > 0.45)
    say("no better than chance: are the maps named after the right images?");
  if (resized > 0 && misshapen == 0 && resized == s.scored && s.f1 < 0.01)
    say("all maps have another size than their masks (scored as the protocol says)");
}

// From the outcomes that scored pixels of manipulated images; their masks are read once more, twice.
std::optional<MeanMask> score_mean_mask(const std::vector<Outcome>& outcomes, const EvalOptions& options,
                                        const std::function<bool()>& stop) {
  constexpr i64 kSide = 64;
  std::vector<const ScoredImage*> images;
  for (const Outcome& o : outcomes)
    if (o.done && o.image.pixels && o.image.manipulated) images.push_back(&o.image);
  if (images.empty()) return std::nullopt;
  std::vector<Tensor> small(images.size());
  const auto each = [&](const auto& f) {
    parallel_for(static_cast<i64>(images.size()), 1, [&](i64 begin, i64 end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        if (!stop || !stop()) f(i);
    });
  };
  each([&](std::size_t i) {
    const Tensor mask = load_truth(images[i]->sample);
    small[i] = resize_pil(mask.reshape({mask.dim(0), mask.dim(1), 1}), kSide, kSide);
  });
  Tensor mean = zeros({1, kSide, kSide, 1});
  float highest = 0;
  for (i64 p = 0; p < mean.numel(); ++p) {
    i64 sum = 0;
    for (const Tensor& s : small) sum += s ? s.data<u8>()[p] : 0;
    mean.data<float>()[p] = static_cast<float>(sum);
    highest = std::max(highest, mean.data<float>()[p]);
  }
  if (highest > 0) mean = affine(mean, 1 / highest, 0);

  std::vector<PixelScores> scores(images.size());
  each([&](std::size_t i) {
    const ScoredImage& image = *images[i];
    Tensor map = resize_bilinear(mean, image.height, image.width).reshape({image.height, image.width});
    for (i64 p = 0; p < map.numel(); ++p) map.data<float>()[p] = std::min(1.0f, map.data<float>()[p]);
    scores[i] = score_pixels(map, load_truth(image.sample), options.protocol, options.threshold);
  });
  if (stop && stop()) return std::nullopt;
  MeanMask result;
  ThresholdCurve curve(options.protocol);
  double auc = 0;
  std::size_t with_auc = 0;
  for (const PixelScores& s : scores) {
    curve.add(s.histogram);
    if (s.auc) auc += *s.auc, ++with_auc;
  }
  result.f1 = curve.best().f1, result.threshold = curve.best().threshold;
  if (with_auc > 0) result.auc = auc / static_cast<double>(with_auc);
  return result;
}

}  // namespace

SetScores evaluate(const Dataset& set, const std::function<Tensor(std::size_t)>& map_of,
                   const EvalOptions& options, const std::function<void()>& each,
                   const std::function<bool()>& stop) {
  std::vector<Outcome> outcomes(set.samples.size());
  parallel_for(static_cast<i64>(outcomes.size()), 1, [&](i64 begin, i64 end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      if (stop && stop()) return;
      try {
        score_one(set.samples[i], map_of(i), options, outcomes[i]);
        outcomes[i].done = true;
      } catch (const Error& e) {
        outcomes[i].error = set.samples[i].key + ": " + e.what();
      }
      if (each) each();
    }
  });
  SetScores s;
  s.name = set.name;
  s.layout = set.layout;
  for (const Outcome& o : outcomes) {
    if (o.done) s.images.push_back(o.image);
    if (!o.error.empty()) s.failed.push_back(o.error);
  }
  add_pixel_means(s, outcomes, options.protocol);
  add_image_level(s, options.threshold);
  add_reasons(s, options.threshold);
  if (options.mean_mask) s.mean_mask = score_mean_mask(outcomes, options, stop);
  return s;
}

MapFiles find_maps(const Dataset& set, const fs::path& folder) {
  std::vector<ImageFile> images;
  for (const Sample& s : set.samples)  // a key of a mask alone has no extension, and its dots are not one
    images.push_back({s.image, s.image.empty() ? s.key + ".png" : s.key});
  const MaskPairs pairs = pair_masks(images, folder);
  MapFiles found{pairs.masks, {}, pairs.lone_masks.size()};
  for (const auto& line : pairs.ambiguous) found.missing.push_back(line + ": which of these maps?");
  for (const auto& key : pairs.lone_images) found.missing.push_back(key + ": no map in " + folder.string());
  std::map<fs::path, std::size_t> owner;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (found.maps[i].empty()) continue;
    const auto [first, is_new] = owner.emplace(found.maps[i], i);
    if (is_new) continue;
    found.missing.push_back(images[i].key + ": " + found.maps[i].string() + " is the map of " +
                            images[first->second].key + ", too; put maps into folders as the images are");
    found.maps[i].clear();
  }
  return found;
}

Tensor load_map(const fs::path& path) {
  const Tensor image = load_image(path);
  Tensor map = empty({image.dim(0), image.dim(1)}, DType::u8);
  const u8* p = image.data<u8>();
  for (i64 i = 0; i < map.numel(); ++i)
    map.data<u8>()[i] = static_cast<u8>((p[3 * i] + p[3 * i + 1] + p[3 * i + 2] + 1) / 3);
  return map;
}

}  // namespace bp
