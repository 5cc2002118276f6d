// Training the student: BoxPromptIML's second half (arXiv 2511.20359, section 3.3), from images and masks to
// weights.
//
// OUT/best.safetensors   the student for use: averaged weights of the best validation, calibrated
// OUT/last.safetensors   all that a resumed run needs
// OUT/train.jsonl        a record per step: loss, lr, gradient_norm, images_per_second, device; and per
// validation OUT/curve.png          both as curves OUT/settings.json      what the run was started with;
// another run in the same folder is refused
#pragma once
#include <functional>
#include <optional>

#include "apps/iml/student_file.h"
#include "apps/iml/training_data.h"
#include "engine/optimizer.h"
#include "nets/student/student.h"

namespace bp {

struct TrainOptions {
  fs::path out;
  i64 size = 224, batch = 16, accumulate = 1;
  i64 epochs = 20, per_epoch = 0;  // samples per epoch; 0: as many as there are
  double lr = 1e-4, lr_floor = 5e-7, warmup_epochs = 2;
  AdamWOptions adamw{.clip = 1, .average = 0.999};
  double dice = 0;  // weight of 1 - Dice beside the cross entropy
  fusion::Parts parts;
  bool freeze_trunk = false;
  double layer_decay = 1;   // learning rate of the trunk's blocks, from the last to the first
  fs::path weights, trunk;  // to start from: a student, or a trunk alone; else from the seed
  Augmentation augmentation;
  bool balanced = false;
  std::uint64_t seed = 1;
  int workers = 2;
  i64 validate_every = 0;     // steps; 0: every epoch
  double save_seconds = 300;  // between two states, besides those at the ends of epochs
  Device device;              // a run may go on on another one, with other rounding
  DType dtype = DType::f32;   // of forward and backward; in bf16 the optimizer keeps f32 master weights
  bool graph = false;         // not on the processor: steps are recorded once and launched as one
  bool resume = false;        // go on with the run in `out`, where there is one
  bool force = false;         // begin anew, once options and data have been found good
};

struct Validation {
  i64 step = 0;
  double f1 = 0, iou = 0;  // at 0.5, protocol `paper`
  std::optional<double> auc;
  double best_f1 = 0, threshold = 0;  // at the best shared threshold
};

struct TrainReport {
  i64 steps = 0, parameters = 0;
  double last_loss = 0, waited = 0;  // seconds that the net waited for data
  std::optional<Validation> best;
  std::vector<std::string> skipped;  // samples that could not be read
  bool interrupted = false;
};

// Trains to the end, or until `stop`, which is asked before every step. Progress goes to stderr. The result
// is a function of options, data and the kind of device alone, whatever the number of threads and
// interruptions. Throws Error:
// OUT cannot be used, holds another run, or one where `resume` was not asked for; loss or a gradient is not
// finite (with the step and the tensor); no mask holds a manipulated pixel.
TrainReport train(std::vector<TrainingSet> sets, const std::vector<Dataset>& validation,
                  const TrainOptions& options, const std::function<bool()>& stop = {});

// Of a parameter of the trunk, as in TinyViT's training: decay^(11 - block), the stem as block 0, a merging
// as the block before it. 1 for all else.
float trunk_lr_scale(const std::string& name, double layer_decay);

}  // namespace bp
