#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/ops.h"

namespace bp {
namespace {

Tensor copy_of(const Tensor& x) {
  return affine(x.detach(), 1, 0);
}

}  // namespace

double learning_rate(const Schedule& s, i64 step) {
  require(s.warmup >= 0 && s.warmup < s.total && s.floor >= 0 && s.floor <= s.peak && std::isfinite(s.peak),
          "schedule: ", s.warmup, " of ", s.total, " steps of warm-up, from ", s.peak, " to ", s.floor);
  require(step >= 0, "schedule: step ", step);
  if (step < s.warmup) return s.peak * static_cast<double>(step + 1) / static_cast<double>(s.warmup);
  if (step >= s.total) return s.floor;
  const double done = static_cast<double>(step - s.warmup) / static_cast<double>(s.total - s.warmup);
  return s.floor + (s.peak - s.floor) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

AdamW::AdamW(Params params, const std::function<Group(const Param&)>& group, const AdamWOptions& options)
    : options_(options) {
  const auto fraction = [](double x) { return x >= 0 && x < 1; };
  require(fraction(options.beta1) && fraction(options.beta2) && fraction(options.average) &&
              options.eps > 0 && options.weight_decay >= 0 && options.clip >= 0,
          "adamw: betas ", options.beta1, " and ", options.beta2, ", average ", options.average, ", eps ",
          options.eps, ", weight decay ", options.weight_decay, ", clip ", options.clip);
  const NoGrad no_grad;
  for (Param& p : params) {
    require(p.tensor && p.tensor->defined(), "adamw: ", p.name, " has no values yet");
    const Tensor& x = *p.tensor;
    require(x.dtype() == DType::f32 || (x.dtype() == DType::bf16 && p.trained), "adamw: ", p.name, " is ",
            name_of(x.dtype()));
    Slot slot{.param = p, .group = group(p), .master = {}, .m = {}, .v = {}, .average = {}};
    if (x.dtype() == DType::bf16) slot.master = cast(x, DType::f32);
    if (p.trained) {
      slot.m = zeros(x.shape(), DType::f32, x.device());
      slot.v = zeros(x.shape(), DType::f32, x.device());
    }
    if (options.average > 0) slot.average = copy_of(slot.weights());
    slots_.push_back(std::move(slot));
  }
  const Device device = slots_.empty() ? Device{} : slots_[0].weights().device();
  for (const Slot& s : slots_)
    require(s.weights().device() == device, "adamw: ", s.param.name, " is on ", s.weights().device(),
            ", other parameters on ", device);
  schedule_ = empty({4}, DType::f32, device);
  squares_ = empty({static_cast<i64>(slots_.size())}, DType::f32, device);
}

double AdamW::step(double lr) {
  begin(lr);
  launch();
  return finish();
}

void AdamW::begin(double lr) {
  const double t = static_cast<double>(++steps_), average = std::min(options_.average, (1 + t) / (10 + t));
  const std::vector<float> schedule{
      static_cast<float>(lr), static_cast<float>(1 / (1 - std::pow(options_.beta1, t))),
      static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t))), static_cast<float>(1 - average)};
  copy_into(schedule_, from_values({4}, schedule));
}

void AdamW::launch() {
  std::vector<k::SquaredNorms::Item> to_sum;
  std::vector<k::AdamW::Item> items;
  const auto data = [](const Tensor& x) { return x ? static_cast<float*>(x.raw()) : nullptr; };
  for (const Slot& s : slots_) {
    const Tensor g = s.param.trained ? s.param.tensor->grad() : Tensor{};
    const void* grad = g ? g.raw() : nullptr;
    to_sum.push_back({grad, g ? g.numel() : 0, s.param.tensor->dtype()});
    items.push_back({.w = data(s.weights()),
                     .m = data(s.m),
                     .v = data(s.v),
                     .average = data(s.average),
                     .copy = s.master ? s.param.tensor->raw() : nullptr,
                     .grad = grad,
                     .n = s.weights().numel(),
                     .lr_scale = s.group.lr_scale,
                     .decay = s.group.decay ? static_cast<float>(options_.weight_decay) : 0.0f,
                     .dtype = s.param.tensor->dtype()});
  }
  const auto count = static_cast<i64>(slots_.size());
  const k::Kernels& kernels = bp::kernels(squares_.device());
  kernels.squared_norms({to_sum.data(), count, data(squares_)});
  kernels.adamw({.items = items.data(),
                 .count = count,
                 .schedule = data(schedule_),
                 .squares = data(squares_),
                 .clip = options_.clip,
                 .beta1 = static_cast<float>(options_.beta1),
                 .beta2 = static_cast<float>(options_.beta2),
                 .eps = static_cast<float>(options_.eps)});
  for (const Slot& s : slots_)
    if (s.param.trained) s.param.tensor->zero_grad();
}

double AdamW::finish() {
  double square = 0;
  const std::vector<float> each = squares_.values();
  for (std::size_t i = 0; i < each.size(); ++i) {
    if (!std::isfinite(each[i]))
      fail("adamw: step ", steps_--, ": the gradient of ", slots_[i].param.name, " is not finite");
    square += static_cast<double>(each[i]);
  }
  return std::sqrt(square);
}

NamedTensors AdamW::state() const {
  Tensor step = empty({1}, DType::i32);
  step.data<std::int32_t>()[0] = static_cast<std::int32_t>(steps_);
  NamedTensors all{{"adamw.step", step}};
  for (const Slot& s : slots_) {
    if (s.m) all.emplace("adamw.m." + s.param.name, s.m);
    if (s.v) all.emplace("adamw.v." + s.param.name, s.v);
    if (s.average) all.emplace("adamw.average." + s.param.name, s.average);
    if (s.master) all.emplace("adamw.master." + s.param.name, s.master);
  }
  return all;
}

void AdamW::load_state(const NamedTensors& given) {
  const NamedTensors own = state();
  for (const auto& [name, tensor] : own) {
    const auto it = given.find(name);
    require(it != given.end(), "adamw: the state has no ", name);
    require(
        it->second.defined() && it->second.shape() == tensor.shape() && it->second.dtype() == tensor.dtype(),
        "adamw: ", name, " of another shape or type, wanted ", tensor.shape(), " of ",
        name_of(tensor.dtype()));
  }
  for (const auto& [name, tensor] : given)
    require(own.count(name) == 1, "adamw: the state holds ", name, ", which nothing here has");
  const std::int32_t step = given.at("adamw.step").data<std::int32_t>()[0];
  require(step >= 0, "adamw: step ", step, " in the state");

  for (const auto& [name, tensor] : own) copy_into(tensor, given.at(name));
  steps_ = step;
  for (const Slot& s : slots_)
    if (s.master) copy_into(*s.param.tensor, cast(s.master, DType::bf16));
}

UseAverage::UseAverage(AdamW& optimizer) : optimizer_(optimizer) {
  for (AdamW::Slot& s : optimizer_.slots_) {
    before_.push_back(*s.param.tensor);
    if (!s.average) continue;
    *s.param.tensor = s.master ? cast(s.average, DType::bf16) : s.average;
  }
}

UseAverage::~UseAverage() {
  for (std::size_t i = 0; i < before_.size(); ++i) *optimizer_.slots_[i].param.tensor = before_[i];
}

}  // namespace bp
