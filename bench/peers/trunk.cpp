// Our side of the comparison with PyTorch (run.py): a TinyViT-5M trunk that obeys lines on stdin and answers
// each with the seconds that it took.
//
// usage: boxprompt-trunk WEIGHTS THREADS
//   batch FILE     take "image" [N,3,H,W] and "cotangent" of stage 3 from a safetensors file
//   forward        inference, BatchNorm folded
//   step           forward, backward from the cotangent, AdamW
//   features FILE  as forward; writes stage0 to stage3, published layout
//   gradients FILE as step without AdamW; writes stage0 to stage3 and the gradients by published name
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "engine/autograd.h"
#include "engine/error.h"
#include "engine/ops.h"
#include "engine/optimizer.h"
#include "kernels/threads.h"
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

class Trunk {
 public:
  explicit Trunk(const std::string& weights)
      : params_(collected()),
        adamw_((load(params_, ArchiveSource(open_archive(weights)), {.own = true}), params_),
               [](const Param&) { return Group{}; }) {
    net_.fold();
  }

  void batch(const std::string& file) {
    const Archive archive = open_archive(file);
    image_ = channels_last(archive.tensor("image"));
    cotangent_ = channels_last(archive.tensor("cotangent"));
  }

  void forward() {
    set_training(false);
    features_ = net_(image_);
  }

  void gradients() {
    set_training(true);
    features_ = net_(image_);
    backward(features_[3], cotangent_);
  }

  void step() {
    gradients();
    adamw_.step(1e-6);
  }

  // Gradients are written if there are any, and dropped.
  void write(const std::string& file) {
    NamedTensors tensors;
    for (std::size_t s = 0; s < 4; ++s) tensors["stage" + std::to_string(s)] = channels_first(features_[s]);
    for (const Param& p : params_)
      if (p.tensor->grad()) {
        tensors[p.name] = to_published(p.tensor->grad(), p.shape, p.layout);
        p.tensor->zero_grad();
      }
    std::vector<PlannedTensor> plan;
    for (const auto& [name, tensor] : tensors) plan.push_back({name, FileDType::F32, tensor.shape()});
    write_safetensors(file, plan, {}, [&](std::size_t i) { return tensors.at(plan[i].name); });
  }

 private:
  Params collected() {
    Params params;
    net_.collect(params);
    return params;
  }
  void set_training(bool on) {
    if (on == training_) return;
    training_ = on;
    require_grad(params_, on);
    net_.train(on);
  }

  tiny_vit::TinyVit net_;
  Params params_;
  AdamW adamw_;
  bool training_ = false;
  Tensor image_, cotangent_;
  std::array<Tensor, 4> features_;
};

void obey(Trunk& trunk, const std::string& command, const std::string& file) {
  if (command == "batch") return trunk.batch(file);
  if (command == "forward") return trunk.forward();
  if (command == "step") return trunk.step();
  if (command == "features") return trunk.forward(), trunk.write(file);
  if (command == "gradients") return trunk.gradients(), trunk.write(file);
  fail("unknown command ", command);
}

void run(const std::string& weights, int threads) {
  set_threads(threads);
  Trunk trunk(weights);
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t space = line.find(' ');
    const auto start = std::chrono::steady_clock::now();
    obey(trunk, line.substr(0, space), space == std::string::npos ? "" : line.substr(space + 1));
    std::printf("%.6f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace bp

int main(int argc, char** argv) {
  try {
    bp::require(argc == 3, "usage: boxprompt-trunk WEIGHTS THREADS");
    bp::run(argv[1], std::stoi(argv[2]));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "boxprompt-trunk: %s\n", e.what());
    return 1;
  }
}
