// Our side of the comparison with PyTorch and ONNX Runtime (run.py): one network that obeys lines on stdin
// and answers each with the seconds that it took.
//
// usage: boxprompt-peer NET WEIGHTS THREADS f32|bf16
// NET, and what it takes from a file and gives, in published layout:
//   tiny_vit_5m        "image" [N,3,H,W]                            stage0 to stage3
//   sam_V.encoder      "image" [1,3,1024,1024]                      embedding [1,256,64,64]
//   sam_V.decoder      "embedding" [1,256,64,64], "boxes" [B,4]     logits [B,1,256,256], iou [B,1]
// with V a variant of SAM, as vit_b. Lines:
//   batch FILE         take the inputs from a safetensors file
//   forward            inference, BatchNorm folded
//   outputs FILE       as forward; writes them
//   memory             answers with the largest resident set so far, in bytes, instead of the time
// and of tiny_vit_5m, whose batch then has "cotangent" of stage 3, too:
//   step               forward, backward from the cotangent, AdamW; in bf16 with f32 master weights
//   gradients FILE     as step without AdamW; writes the outputs and the gradients by published name
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "engine/autograd.h"
#include "engine/error.h"
#include "engine/ops.h"
#include "engine/optimizer.h"
#include "kernels/threads.h"
#include "nets/precision.h"
#include "nets/sam/sam.h"
#include "nets/tiny_vit/tiny_vit.h"
#include "weights/load.h"
#include "weights/safetensors.h"

namespace bp {
namespace {

Tensor channels_last(const Tensor& x) {
  return permute(x, {0, 2, 3, 1});
}
Tensor channels_first(const Tensor& x) {
  return permute(x.detach(), {0, 3, 1, 2});
}

void write(const std::string& file, const NamedTensors& tensors) {
  std::vector<PlannedTensor> plan;
  for (const auto& [name, tensor] : tensors) plan.push_back({name, FileDType::F32, tensor.shape()});
  write_safetensors(file, plan, {}, [&](std::size_t i) { return tensors.at(plan[i].name); });
}

class Net {
 public:
  virtual ~Net() = default;
  virtual void batch(const Archive& archive) = 0;
  virtual void forward() = 0;
  virtual NamedTensors outputs() const = 0;  // of the last run

  virtual void gradients() { fail("this net is not trained here"); }
  virtual void step() { gradients(); }
  virtual NamedTensors take_gradients() { return {}; }  // leaves none behind
};

class Trunk final : public Net {
 public:
  Trunk(const std::string& weights, DType dtype) : dtype_(dtype) {
    net_.collect(params_);
    load(params_, ArchiveSource(open_archive(weights)), {.own = true});
    net_.fold(dtype);
    adamw_.emplace(rounded(), [](const Param&) { return Group{}; });
    pack(params_);
  }

  void batch(const Archive& archive) override {
    image_ = channels_last(archive.tensor("image"));
    if (archive.find("cotangent")) cotangent_ = channels_last(archive.tensor("cotangent"));
  }
  void forward() override {
    set_training(false);
    features_ = net_(image_);
  }
  NamedTensors outputs() const override {
    NamedTensors tensors;
    for (std::size_t s = 0; s < 4; ++s) tensors["stage" + std::to_string(s)] = channels_first(features_[s]);
    return tensors;
  }

  void gradients() override {
    set_training(true);
    features_ = net_(image_);
    backward(features_[3], cast(cotangent_, features_[3].dtype()));
  }
  void step() override {
    gradients();
    adamw_->step(1e-6);
  }
  NamedTensors take_gradients() override {
    NamedTensors tensors;
    for (const Param& p : params_)
      if (p.tensor->grad()) {
        tensors[p.name] = to_published(p.tensor->grad(), p.shape, p.layout);
        p.tensor->zero_grad();
      }
    return tensors;
  }

 private:
  const Params& rounded() {
    round_to(params_, dtype_);
    return params_;
  }
  void set_training(bool on) {
    if (on == training_) return;
    training_ = on;
    require_grad(params_, on);
    if (!on) pack(params_);
    net_.train(on);
  }

  DType dtype_;
  tiny_vit::TinyVit net_;
  Params params_;
  std::optional<AdamW> adamw_;
  bool training_ = false;
  Tensor image_, cotangent_;
  std::array<Tensor, 4> features_;
};

sam::Sam loaded(const std::string& variant, const std::string& weights, DType dtype) {
  sam::Sam net(variant);
  load(net.params(), ArchiveSource(open_archive(weights)));
  net.prepare({}, dtype);
  return net;
}

class Encoder final : public Net {
 public:
  explicit Encoder(sam::Sam net) : net_(std::move(net)) {}
  void batch(const Archive& archive) override { image_ = channels_last(archive.tensor("image")); }
  void forward() override { embedding_ = net_.encode(image_); }
  NamedTensors outputs() const override { return {{"embedding", channels_first(embedding_)}}; }

 private:
  sam::Sam net_;
  Tensor image_, embedding_;
};

class Decoder final : public Net {
 public:
  explicit Decoder(sam::Sam net) : net_(std::move(net)) {}
  void batch(const Archive& archive) override {
    embedding_ = channels_last(archive.tensor("embedding"));
    prompts_.boxes = archive.tensor("boxes");
  }
  void forward() override { masks_ = net_.decode(embedding_, prompts_, sam::MaskSet::single); }
  NamedTensors outputs() const override { return {{"logits", masks_.logits}, {"iou", masks_.iou}}; }

 private:
  sam::Sam net_;
  Tensor embedding_;
  sam::Prompts prompts_;
  sam::Masks masks_;
};

std::unique_ptr<Net> make_net(const std::string& name, const std::string& weights, DType dtype) {
  if (name == "tiny_vit_5m") return std::make_unique<Trunk>(weights, dtype);
  const std::size_t dot = name.find('.');
  const std::string part = dot == std::string::npos ? "" : name.substr(dot + 1);
  require(name.starts_with("sam_") && (part == "encoder" || part == "decoder"), "unknown net ", name);
  sam::Sam net = loaded(name.substr(4, dot - 4), weights, dtype);
  if (part == "encoder") return std::make_unique<Encoder>(std::move(net));
  return std::make_unique<Decoder>(std::move(net));
}

void obey(Net& net, const std::string& command, const std::string& file) {
  if (command == "batch") return net.batch(open_archive(file));
  if (command == "forward") return net.forward();
  if (command == "step") return net.step();
  if (command == "outputs") return net.forward(), write(file, net.outputs());
  if (command == "gradients") {
    net.gradients();
    NamedTensors tensors = net.take_gradients();
    tensors.merge(net.outputs());
    return write(file, tensors);
  }
  fail("unknown command ", command);
}

// Linux's VmHWM: getrusage's figure would include what the process was before exec, a copy of its parent.
double largest_resident_set() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return 1024.0 * std::stod(line.substr(6));
  fail("/proc/self/status does not tell VmHWM");
}

void run(const std::string& name, const std::string& weights, int threads, DType dtype) {
  set_threads(threads);
  const std::unique_ptr<Net> net = make_net(name, weights, dtype);
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t space = line.find(' ');
    const auto start = std::chrono::steady_clock::now();
    const bool memory = line == "memory";
    if (!memory) obey(*net, line.substr(0, space), space == std::string::npos ? "" : line.substr(space + 1));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%.6f\n", memory ? largest_resident_set() : seconds);
    std::fflush(stdout);
  }
}

DType dtype_of(const std::string& name) {
  require(name == "f32" || name == "bf16", "type ", name, ", wanted f32 or bf16");
  return name == "f32" ? DType::f32 : DType::bf16;
}

}  // namespace
}  // namespace bp

int main(int argc, char** argv) {
  try {
    bp::require(argc == 5, "usage: boxprompt-peer NET WEIGHTS THREADS f32|bf16");
    bp::run(argv[1], argv[2], std::stoi(argv[3]), bp::dtype_of(argv[4]));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "boxprompt-peer: %s\n", e.what());
    return 1;
  }
}
