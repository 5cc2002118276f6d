// train.jsonl: what a training run says of itself, a line per step and per validation.
#pragma once
#include <vector>

#include "apps/iml/run_folder.h"
#include "apps/iml/train.h"

namespace bp {

struct StepRecord {
  i64 step = 0;  // steps done, this one included
  double loss = 0, lr = 0, gradient_norm = 0, images_per_second = 0;
  std::string device = "cpu";
};

struct TrainLog {
  std::vector<StepRecord> steps;
  std::vector<Validation> validations;
};

std::string to_line(const StepRecord& record);  // with its newline
std::string to_line(const Validation& validation);

// The records up to `step`, and the file cut to them: what a killed run wrote after its last state is written
// again by the one that resumes it. A missing file has none.
TrainLog resume_log(const fs::path& jsonl, i64 step);

// Loss (each step, and smoothed) and the validations' F1 over the steps: u8 [H,W,3].
Tensor draw_curves(const TrainLog& log, i64 total_steps);

}  // namespace bp
