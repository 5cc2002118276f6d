// The state of a training run in one safetensors file: the student's parameters under their published names,
// the optimizer's tensors (AdamW::state), and in the metadata where the run is.
#pragma once
#include "apps/iml/train.h"

namespace bp {

struct TrainProgress {
  i64 step = 0;  // steps done
  std::optional<Validation> best;
};

void save_state(const fs::path& path, const Params& params, const AdamW& optimizer,
                const TrainProgress& progress);

// Throws Error naming the file where it is no such state or belongs to another student.
TrainProgress load_state(const fs::path& path, const Params& params, AdamW& optimizer);

}  // namespace bp
