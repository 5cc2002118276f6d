// AdamW (Loshchilov and Hutter, 2019) with clipping and a moving average of the weights, and the schedule of
// its learning rate.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/param.h"

namespace bp {

struct Schedule {  // in steps; learning rates
  double peak = 1e-4, floor = 0;
  i64 warmup = 0, total = 0;  // warmup below total
};
// Of step 0, 1, ...: linear over the warm-up to `peak`, which its last step reaches; then half a cosine that
// would reach `floor` at step `total`; `floor` from there on. Throws Error on a schedule that makes no sense.
double learning_rate(const Schedule& schedule, i64 step);

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.05;
  double clip = 0;     // largest norm of all gradients together; larger ones are scaled down to it. 0: none
  double average = 0;  // decay of the moving average, below 1; 0: no average is kept. Step t = 1, 2, ... uses
                       // min(average, (1 + t) / (10 + t)), so that the start is forgotten soon
};

struct Group {  // how one parameter is treated
  bool decay = true;
  float lr_scale = 1;
};

using NamedTensors = std::map<std::string, Tensor>;

class AdamW {
 public:
  // The parameters that `params` names, as long as this lives; in their own memory (LoadOptions::own), f32 or
  // bf16. bf16 parameters have f32 master weights here. Statistics (Param::trained false, f32) only enter the
  // average.
  AdamW(Params params, const std::function<Group(const Param&)>& group, const AdamWOptions& options = {});

  // One step from the gradients, which are dropped afterwards; parameters without one stay as they are.
  // Returns the norm of all gradients before clipping. Throws Error naming the parameter, before anything has
  // changed, where a gradient is not finite.
  double step(double lr);
  i64 steps() const { return steps_; }

  // step() in its three parts, for steps that a graph runs again (engine/graph.h): what differs from step to
  // step goes to the device; the kernels alone, which change nothing where a gradient is not finite; the norm
  // or the error, which takes the step back.
  void begin(double lr);
  void launch();
  double finish();

  // All that a resumed run needs besides the parameters, "adamw.step" (i32) and per parameter
  // "adamw.m.<name>", "adamw.v.<name>", "adamw.average.<name>", "adamw.master.<name>" (f32, in our layout;
  // those that exist). state() shares memory with this optimizer. load_state() copies, and throws Error
  // before anything has changed unless it finds exactly these in their shapes.
  NamedTensors state() const;
  void load_state(const NamedTensors& state);

 private:
  friend class UseAverage;
  struct Slot {
    Param param;
    Group group;
    Tensor master, m, v, average;  // f32; master of bf16 parameters only
    const Tensor& weights() const { return master ? master : *param.tensor; }
  };
  std::vector<Slot> slots_;
  AdamWOptions options_;
  Tensor schedule_, squares_;  // k::AdamW
  i64 steps_ = 0;
};

// Puts the averages in the parameters' places for its lifetime, for evaluation; without an average it changes
// nothing. No step meanwhile.
class UseAverage {
 public:
  explicit UseAverage(AdamW& optimizer);
  ~UseAverage();
  UseAverage(const UseAverage&) = delete;
  UseAverage& operator=(const UseAverage&) = delete;

 private:
  AdamW& optimizer_;
  std::vector<Tensor> before_;
};

}  // namespace bp
