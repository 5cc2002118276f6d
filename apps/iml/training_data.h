// What a student learns from: images with true masks, or with the pseudo masks of a teacher.
#pragma once
#include <atomic>
#include <map>
#include <mutex>

#include "apps/iml/augment.h"
#include "apps/iml/datasets.h"
#include "apps/iml/sample_order.h"

namespace bp {

struct TrainingSet {
  Dataset data;
  bool soft = false;  // masks are probabilities, 0 to 255, as `teach --soft` writes them
};

// Images of a folder or list and the masks that belong to them (files.h); what does not pair is left out and
// listed as unpaired.
TrainingSet pair_folders(const fs::path& images, const fs::path& masks, bool soft);

// Throws Error where image or mask cannot be read or differ in size.
Example load_example(const Sample& sample, bool soft);

// Sample n of a run. An image that cannot be read gives its place to the next one of its set; several threads
// may ask at once.
class TrainingData {
 public:
  // Throws Error where there is no sample.
  TrainingData(std::vector<TrainingSet> sets, const Augmentation& augmentation, std::uint64_t seed,
               bool balanced, i64 input_size);

  // Writes image [S,S,3], normalised, and target [S,S]; see MakeSample.
  void make(i64 n, float* image, float* target);

  i64 size() const { return size_; }  // samples in all sets
  i64 input_size() const { return input_size_; }
  std::vector<std::string> skipped() const;  // "a.jpg: why", each once
  bool saw_manipulation() const { return saw_manipulation_; }

 private:
  Example load(SampleOrder::Pick pick);

  const std::vector<TrainingSet> sets_;
  const Augmentation augmentation_;
  const std::uint64_t seed_;
  const i64 input_size_;
  i64 size_ = 0;
  mutable std::mutex mutex_;  // of what follows
  SampleOrder order_;
  std::map<std::pair<i64, i64>, std::string> unreadable_;
  std::atomic<bool> saw_manipulation_{false};
};

}  // namespace bp
