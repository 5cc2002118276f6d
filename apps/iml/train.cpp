#include "apps/iml/train.h"

#include <chrono>
#include <cmath>
#include <cstdio>

#include "apps/iml/evaluate.h"
#include "apps/iml/image.h"
#include "apps/iml/loader.h"
#include "apps/iml/progress.h"
#include "apps/iml/run_folder.h"
#include "apps/iml/smaller_batch.h"
#include "apps/iml/train_log.h"
#include "apps/iml/train_state.h"
#include "engine/graph.h"
#include "engine/ops.h"
#include "nets/precision.h"
#include "weights/load.h"

namespace bp {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// All that the result depends on.
std::map<std::string, std::string> settings_of(const TrainOptions& o, const std::vector<TrainingSet>& sets,
                                               const std::vector<Dataset>& validation) {
  std::map<std::string, std::string> s{
      {"size", std::to_string(o.size)},
      {"dtype", name_of(o.dtype)},
      {"batch", text(o.batch, " x ", o.accumulate)},
      {"epochs", text(o.epochs, " of ", o.per_epoch)},
      {"lr", text(shortest(o.lr), " to ", shortest(o.lr_floor), ", warm-up ", shortest(o.warmup_epochs))},
      {"adamw", text("betas ", shortest(o.adamw.beta1), " ", shortest(o.adamw.beta2), ", decay ",
                     shortest(o.adamw.weight_decay), ", clip ", shortest(o.adamw.clip), ", average ",
                     shortest(o.adamw.average))},
      {"dice", shortest(o.dice)},
      {"parts", text(o.parts.gate ? "gate" : "no gate", ", ", o.parts.memory ? "memory" : "no memory")},
      {"trunk", text(o.freeze_trunk ? "frozen" : "trained", ", layer decay ", shortest(o.layer_decay))},
      {"start", text(o.weights.string(), " ", o.trunk.string())},
      {"seed", std::to_string(o.seed)},
      {"balanced", o.balanced ? "yes" : "no"},
      {"validate_every", std::to_string(o.validate_every)},
  };
  const Augmentation& a = o.augmentation;
  std::string augmentation;
  for (double v :
       {a.scale, a.copy_move, a.inpaint, a.flip, a.rotate, a.brightness, a.contrast, a.jpeg,
        static_cast<double>(a.jpeg_low), static_cast<double>(a.jpeg_high), a.blur, a.crop, a.crop_least})
    augmentation += (augmentation.empty() ? "" : " ") + shortest(v);
  s["augmentation"] = augmentation;
  for (const TrainingSet& set : sets)
    s["data"] += text(set.data.name, " ", set.data.samples.size(), set.soft ? " soft; " : "; ");
  for (const Dataset& set : validation) s["validation"] += text(set.name, " ", set.samples.size(), "; ");
  return s;
}

void check(const TrainOptions& o) {
  require(o.size >= 32 && o.size <= 4096 && o.size % 32 == 0, "train: input size ", o.size,
          ", wanted a multiple of 32");
  require(o.batch >= 1 && o.accumulate >= 1 && o.epochs >= 1 && o.per_epoch >= 0 && o.workers >= 1,
          "train: batch ", o.batch, " x ", o.accumulate, ", ", o.epochs, " epochs of ", o.per_epoch,
          ", workers ", o.workers);
  require(o.weights.empty() || o.trunk.empty(), "train: give a student's weights or a trunk's, not both");
  require(!o.graph || o.device != Device{}, "train: --graph is for GPUs, but the device is ", o.device);
}

// 1 - the soft Dice coefficient, image by image.
Tensor dice_loss(const Tensor& logits, const Tensor& targets) {
  const Shape per_image{logits.dim(0), 1, 1, 1};
  const Tensor p = sigmoid(logits);
  const Tensor both = sum_to(mul(p, targets), per_image);
  const Tensor all = add(sum_to(p, per_image), sum_to(targets, per_image));
  return affine(mean(div(affine(both, 2, 1), affine(all, 1, 1))), -1, 1);
}

student::Student start(const TrainOptions& o) {
  if (!o.weights.empty()) {
    LoadedStudent loaded = load_student(o.weights, true);
    require(loaded.config.parts.gate == o.parts.gate && loaded.config.parts.memory == o.parts.memory,
            o.weights.string(), ": a student with other parts switched off than asked for");
    return std::move(loaded.net);
  }
  student::Student net(o.parts);
  student::initialise(net.params(), o.seed);
  if (!o.trunk.empty()) load_trunk(net, o.trunk);
  return net;
}

class Run {
 public:
  Run(std::vector<TrainingSet> sets, const std::vector<Dataset>& validation, const TrainOptions& options)
      : o_(options),
        validation_(validation),
        net_(start(options)),
        params_(net_.params()),
        data_(std::move(sets), options.augmentation, options.seed, options.balanced, options.size) {
    for (const Param& p : params_)
      if (!(o_.freeze_trunk && p.name.rfind("trunk.", 0) == 0)) trained_.push_back(p);
    to_device(params_, o_.device);
    make_optimizer();
    const i64 per_step = o_.batch * o_.accumulate;
    steps_per_epoch_ = std::max<i64>(1, (o_.per_epoch ? o_.per_epoch : data_.size()) / per_step);
    total_ = o_.epochs * steps_per_epoch_;
    schedule_ = {.peak = o_.lr,
                 .floor = std::min(o_.lr, o_.lr_floor),
                 .warmup = std::min(
                     total_ - 1,
                     static_cast<i64>(std::lround(o_.warmup_epochs * static_cast<double>(steps_per_epoch_)))),
                 .total = total_};
  }

  TrainReport operator()(const std::function<bool()>& stop) {
    const fs::path state = o_.out / "last.safetensors", jsonl = o_.out / "train.jsonl";
    if (o_.resume && fs::exists(state)) progress_ = load_state(state, params_, *optimizer_);
    const i64 begun = progress_.step;
    log_ = resume_log(jsonl, begun);
    RecordFile records(jsonl);
    Progress bar("train", static_cast<std::size_t>(total_));
    for (i64 i = 0; i < begun; ++i) bar.skip();

    TrainReport report;
    Loader loader([this](i64 n, float* image, float* target) { data_.make(n, image, target); }, o_.batch,
                  o_.size, begun * o_.accumulate, o_.workers);
    Clock::time_point saved = Clock::now();
    while (progress_.step < total_) {
      if (stop && stop()) {
        report.interrupted = true;
        save();
        break;
      }
      const StepRecord record = step(loader);
      records.append(to_line(record));
      log_.steps.push_back(record);
      tell_skipped(bar);
      bar.advance();
      const bool epoch_ends = progress_.step % steps_per_epoch_ == 0 || progress_.step == total_;
      require(!epoch_ends || begun > 0 || data_.saw_manipulation(),
              "train: no mask so far holds a manipulated pixel; are the masks inverted or all black?");
      const i64 every = o_.validate_every ? o_.validate_every : steps_per_epoch_;
      if (progress_.step % every == 0 || progress_.step == total_) {
        if (const auto v = validate()) {
          records.append(to_line(*v));
          log_.validations.push_back(*v);
          bar.say(text("step ", v->step, ": loss ", shortest(record.loss, 3), ", validation F1 ",
                       shortest(v->f1, 3), ", best ", shortest(v->best_f1, 3), " at ",
                       shortest(v->threshold, 3)));
        }
        save_png(o_.out / "curve.png", draw_curves(log_, total_));
      }
      if (epoch_ends || seconds_since(saved) > o_.save_seconds) {
        save();
        saved = Clock::now();
      }
    }
    bar.finish();
    report.steps = progress_.step;
    for (const Param& p : trained_) report.parameters += p.trained ? p.shape.numel() : 0;
    report.last_loss = log_.steps.empty() ? 0 : log_.steps.back().loss;
    report.waited = loader.waited();
    report.best = progress_.best;
    report.skipped = data_.skipped();
    return report;
  }

 private:
  void make_optimizer() {
    NamedTensors whole;  // what the parameters are before they are rounded
    for (const Param& p : trained_)
      if (may_round(p)) whole[p.name] = *p.tensor;
    round_to(params_, o_.dtype);
    set_training(true);
    require_grad(trained_);
    optimizer_.emplace(
        trained_,
        [this](const Param& p) {
          return Group{student::decays(p), trunk_lr_scale(p.name, o_.layer_decay)};
        },
        o_.adamw);
    if (o_.dtype == DType::f32) return;
    NamedTensors state = optimizer_->state();
    for (const auto& [name, values] : whole)
      for (const char* kind : {"adamw.master.", "adamw.average."})
        if (const auto it = state.find(kind + name); it != state.end()) copy_into(it->second, values);
  }

  void set_training(bool on) {
    net_.train(on);
    if (o_.freeze_trunk) net_.trunk.train(false);
  }

  StepRecord step(Loader& loader) {
    const Clock::time_point begin = Clock::now();
    StepRecord r{.step = progress_.step + 1, .lr = learning_rate(schedule_, progress_.step)};
    r.device = text(o_.device);
    try {
      compute(loader, r.lr);
    } catch (const OutOfMemory& e) {
      fail(e.what(), advice());
    }
    for (const Tensor& loss : losses_) r.loss += static_cast<double>(loss.item() * share());
    if (!std::isfinite(r.loss)) blame(r.step);
    r.gradient_norm = optimizer_->finish();
    progress_.step = r.step;
    r.images_per_second = static_cast<double>(o_.batch * o_.accumulate) / seconds_since(begin);
    return r;
  }

  void compute(Loader& loader, double lr) {
    // The first step runs as it is: kernels prepare themselves for its shapes.
    if (o_.graph && !inputs_.empty() && !graph_.defined()) graph_ = capture(o_.device, [this] { work(); });
    load_inputs(loader);
    optimizer_->begin(lr);
    if (graph_.defined()) {
      graph_.launch();
      graph_.check();
    } else {
      work();
    }
  }

  float share() const { return 1.0f / static_cast<float>(o_.accumulate); }

  // A graph reads where its inputs were when it was recorded.
  void load_inputs(Loader& loader) {
    inputs_.resize(static_cast<std::size_t>(o_.accumulate));
    for (Batch& input : inputs_) {
      const Batch batch = loader.next();
      if (graph_.defined()) {
        copy_into(input.images, batch.images);
        copy_into(input.targets, batch.targets);
      } else {
        input = {to(batch.images, o_.device), to(batch.targets, o_.device)};
      }
    }
  }

  // Of a batch that fits where this one does not.
  std::string advice() {
    graph_ = {};
    losses_.clear();
    inputs_.clear();
    for (const Param& p : trained_) p.tensor->zero_grad();
    return smaller_batch(o_.device, o_.batch, o_.size, [this](i64 batch) {
      inputs_.assign(static_cast<std::size_t>(o_.accumulate),
                     {empty({batch, o_.size, o_.size, 3}, DType::f32, o_.device),
                      empty({batch, o_.size, o_.size, 1}, DType::f32, o_.device)});
      work();
      inputs_.clear();
      losses_.clear();
    });
  }

  // What the device does in a step. Where a gradient is not finite, the weights stay.
  void work() {
    losses_.resize(inputs_.size());
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Tensor logits = net_(inputs_[i].images);
      Tensor loss = bce_with_logits(logits, inputs_[i].targets);
      if (o_.dice > 0)
        loss = add(loss, affine(dice_loss(logits, inputs_[i].targets), static_cast<float>(o_.dice), 0));
      losses_[i] = loss.detach();
      backward(affine(loss, share(), 0));
    }
    optimizer_->launch();
  }

  // Names what made the loss of a step no number.
  [[noreturn]] void blame(i64 step) const {
    for (const Param& p : params_)
      for (const float v : p.tensor->values())
        require(std::isfinite(v), "train: step ", step, ": ", p.name, " is not finite");
    fail("train: step ", step, ": the loss is not finite, though all weights are");
  }

  // With the averaged weights; none without data to validate on, and then the average is simply kept.
  std::optional<Validation> validate() {
    graph_ = {};  // what is folded for the validation is folded anew after it
    const UseAverage use(*optimizer_);
    set_training(false);
    std::optional<Validation> v;
    if (!validation_.empty()) {
      v = measure();
      if (!progress_.best || v->best_f1 >= progress_.best->best_f1) {
        progress_.best = v;
        keep_best(*v);
      }
    } else {
      save_best({});
    }
    set_training(true);
    return v;
  }

  Validation measure() {
    Validation v;
    v.step = progress_.step;
    double auc = 0;
    std::size_t with_auc = 0;
    std::array<double, 255> f1_at{};
    for (const Dataset& set : validation_) {
      const SetScores s = evaluate(
          set,
          [&](std::size_t i) {
            const Tensor image = load_image(set.samples[i].image);
            return run_student(net_, student_input(image, o_.size), o_.device).reshape({o_.size, o_.size});
          },
          {});
      require(s.scored > 0, "train: nothing of ", set.name, " could be validated on",
              s.failed.empty() ? "" : ": " + s.failed[0]);
      const double share = 1.0 / static_cast<double>(validation_.size());
      v.f1 += share * s.f1, v.iou += share * s.iou;
      for (std::size_t i = 0; i < f1_at.size(); ++i) f1_at[i] += share * s.f1_at[i];
      if (s.auc) auc += *s.auc, ++with_auc;
    }
    if (with_auc > 0) v.auc = auc / static_cast<double>(with_auc);
    const auto best = std::max_element(f1_at.begin(), f1_at.end());
    v.best_f1 = *best;
    v.threshold = static_cast<double>(best - f1_at.begin()) / 255;
    return v;
  }

  // Calibrated: the logits shifted so that the best shared threshold of the validation is 0.5.
  void keep_best(const Validation& v) {
    const double t = std::clamp(v.threshold, 1.0 / 255, 254.0 / 255);
    Tensor& bias = net_.fusion.refine.bias;
    const Tensor before = bias;
    const NoGrad no_grad;
    bias = affine(bias.detach(), 1, static_cast<float>(-std::log(t / (1 - t))));
    save_best({{"validation_f1", shortest(v.best_f1)}, {"calibrated_from", shortest(v.threshold)}});
    bias = before;
  }

  void save_best(std::map<std::string, std::string> metadata) {
    metadata.merge(student_metadata({.parts = o_.parts, .size = o_.size, .threshold = 0.5}));
    metadata["step"] = std::to_string(progress_.step);
    bp::save(params_, (o_.out / "best.safetensors").string(), DType::f32, metadata);
  }

  void save() { save_state(o_.out / "last.safetensors", params_, *optimizer_, progress_); }

  void tell_skipped(Progress& bar) {
    const auto skipped = data_.skipped();
    for (; told_ < skipped.size(); ++told_) bar.say("skipped: " + one_line(skipped[told_]));
  }

  const TrainOptions o_;
  const std::vector<Dataset>& validation_;
  student::Student net_;
  const Params params_;
  Params trained_;
  TrainingData data_;
  std::optional<AdamW> optimizer_;
  i64 steps_per_epoch_ = 1, total_ = 1;
  Schedule schedule_;
  std::vector<Batch> inputs_;  // of a step, on the device
  std::vector<Tensor> losses_;
  Graph graph_;
  TrainProgress progress_;
  TrainLog log_;
  std::size_t told_ = 0;
};

}  // namespace

float trunk_lr_scale(const std::string& name, double layer_decay) {
  constexpr int kBlocks[]{2, 2, 6, 2}, kLast = 11;
  int stage = 0, block = 0, depth = kLast;
  if (name.rfind("trunk.patch_embed.", 0) == 0) {
    depth = 0;
  } else if (std::sscanf(name.c_str(), "trunk.layers.%d.", &stage) == 1) {
    depth = 0;
    for (int i = 0; i < stage; ++i) depth += kBlocks[i];
    if (std::sscanf(name.c_str(), "trunk.layers.%*d.blocks.%d.", &block) == 1)
      depth += block;
    else
      depth += kBlocks[stage] - 1;
  }
  return static_cast<float>(std::pow(layer_decay, kLast - depth));
}

TrainReport train(std::vector<TrainingSet> sets, const std::vector<Dataset>& validation,
                  const TrainOptions& options, const std::function<bool()>& stop) {
  check(options);
  const fs::path state = options.out / "last.safetensors";
  require(options.resume || options.force || !fs::exists(state), state.string(),
          ": a run is here already; --resume goes on with it, --force begins anew");
  auto settings = settings_of(options, sets, validation);
  Run run(std::move(sets), validation, options);
  claim_folder(options.out, settings, options.force || !fs::exists(state));
  if (options.force)
    for (const char* name : {"last.safetensors", "best.safetensors", "train.jsonl", "curve.png"}) {
      std::error_code ignored;
      fs::remove(options.out / name, ignored);
    }
  return run(stop);
}

}  // namespace bp
