#include "apps/iml/training_data.h"

#include <algorithm>
#include <cstring>

#include "apps/iml/evaluate.h"
#include "apps/iml/image.h"
#include "apps/iml/student_file.h"
#include "engine/error.h"
#include "engine/ops.h"

namespace bp {
namespace {

constexpr std::uint32_t kPurpose = 0xa1;  // of the random numbers of augmentation

std::vector<i64> sizes_of(const std::vector<TrainingSet>& sets) {
  std::vector<i64> sizes;
  for (const TrainingSet& s : sets) sizes.push_back(static_cast<i64>(s.data.samples.size()));
  return sizes;
}

}  // namespace

TrainingSet pair_folders(const fs::path& images, const fs::path& masks, bool soft) {
  const auto files = list_images(images, true);
  const MaskPairs pairs = pair_masks(files, masks);
  TrainingSet set{{images.filename().string(), "pairs", {}, {}}, soft};
  for (std::size_t i = 0; i < files.size(); ++i)
    if (!pairs.masks[i].empty())
      set.data.samples.push_back({files[i].path, pairs.masks[i], files[i].key, MaskCode::white});
  require(!set.data.samples.empty(), "training: none of the ", files.size(), " images in ", images.string(),
          " has a mask in ", masks.string());
  for (const auto& key : pairs.lone_images)
    set.data.unpaired.push_back(key + ": no mask in " + masks.string());
  for (const auto& line : pairs.ambiguous)
    set.data.unpaired.push_back(line + ": ambiguous in " + masks.string());
  for (const auto& mask : pairs.lone_masks) set.data.unpaired.push_back(mask + ": a mask of no image");
  return set;
}

Example load_example(const Sample& sample, bool soft) {
  Example e{load_image(sample.image), {}};
  const i64 h = e.image.dim(0), w = e.image.dim(1);
  if (sample.authentic()) {
    e.mask = zeros({h, w}, DType::u8);
    return e;
  }
  e.mask = soft ? load_map(sample.mask) : load_truth(sample);
  require(e.mask.dim(0) == h && e.mask.dim(1) == w, sample.mask.string(), ": ", e.mask.dim(1), "x",
          e.mask.dim(0), ", but the image is ", w, "x", h);
  return e;
}

TrainingData::TrainingData(std::vector<TrainingSet> sets, const Augmentation& augmentation,
                           std::uint64_t seed, bool balanced, i64 input_size)
    : sets_(std::move(sets)),
      augmentation_(augmentation),
      seed_(seed),
      input_size_(input_size),
      order_(sizes_of(sets_), seed, balanced) {
  for (const i64 size : sizes_of(sets_)) size_ += size;
}

Example TrainingData::load(SampleOrder::Pick pick) {
  const TrainingSet& set = sets_[static_cast<std::size_t>(pick.set)];
  const auto count = static_cast<i64>(set.data.samples.size());
  for (i64 tried = 0; tried < count; ++tried, pick.index = (pick.index + 1) % count) {
    {
      const std::lock_guard lock(mutex_);
      if (unreadable_.count({pick.set, pick.index})) continue;
    }
    const Sample& sample = set.data.samples[static_cast<std::size_t>(pick.index)];
    try {
      Example e = load_example(sample, set.soft);
      const u8* m = e.mask.data<u8>();
      if (!saw_manipulation_ && std::any_of(m, m + e.mask.numel(), [](u8 v) { return v > 127; }))
        saw_manipulation_ = true;
      return e;
    } catch (const Error& e) {
      const std::lock_guard lock(mutex_);
      unreadable_[{pick.set, pick.index}] = e.what();
    }
  }
  const std::lock_guard lock(mutex_);
  fail("training: not one of the ", count, " samples of ", set.data.name,
       " can be read: ", unreadable_.at({pick.set, 0}));
}

void TrainingData::make(i64 n, float* image, float* target) {
  SampleOrder::Pick pick;
  {
    const std::lock_guard lock(mutex_);
    pick = order_.at(n);
  }
  const Example e =
      augment(load(pick), augmentation_, Random(seed_, static_cast<std::uint64_t>(n), kPurpose));
  const Tensor input = student_input(e.image, input_size_);
  std::memcpy(image, input.raw(), static_cast<std::size_t>(input.numel()) * sizeof(float));
  // Antialiased, so that a target is the share of its pixel that was manipulated.
  const Tensor mask = resize_pil(e.mask.reshape({e.mask.dim(0), e.mask.dim(1), 1}), input_size_, input_size_);
  const u8* m = mask.data<u8>();
  for (i64 i = 0; i < mask.numel(); ++i) target[i] = static_cast<float>(m[i]) / 255;
}

std::vector<std::string> TrainingData::skipped() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& [pick, why] : unreadable_) lines.push_back(why);
  return lines;
}

}  // namespace bp
