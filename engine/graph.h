// What a device does, recorded once and run again at a fraction of the host's work: inference of one shape,
// or a whole training step.
//
//   Tensor loss;
//   const Graph step = capture(device, [&] {
//     loss = bce_with_logits(net(images), targets);
//     backward(loss);
//     adamw.launch();
//   });
//   for (...) {
//     copy_into(images, batch.images), copy_into(targets, batch.targets), adamw.begin(lr);
//     step.launch();
//     step.check(), loss.item(), adamw.finish();
//   }
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "engine/tensor.h"

namespace bp {

class Graph {
 public:
  Graph();  // none
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  bool defined() const { return inside_ != nullptr; }
  void launch() const;  // asks the device to run it; waits for nothing
  // Waits for the last launch and throws the Error that an op would have thrown at once: bce_with_logits
  // where targets are not in [0,1].
  void check() const;
  std::size_t memory() const;  // bytes that belong to it

 private:
  struct Inside;
  friend Graph capture(Device, const std::function<void()>&);
  std::unique_ptr<Inside> inside_;
};

// Records what f asks of the device, and runs nothing: no value of any tensor has changed when it returns. f
// is called three times, twice to find out how much memory it needs, and must ask for the same each time; it
// may not wait for the device, read its tensors or fill them from the host. Run it once for real before: some
// kernels prepare themselves for a shape. No other thread may use the device meanwhile.
//
// Tensors that f makes live in memory of the graph, and those that are kept hold the values of the last
// launch. Tensors that f finds must keep their memory as long as the graph is launched: fill inputs with
// copy_into. Throws Error on the processor, which has no graphs.
Graph capture(Device device, const std::function<void()>& f);

// How much memory of the device f needs beside what is there: it is called as by capture(), but twice, and no
// memory is taken.
std::size_t memory_needed(Device device, const std::function<void()>& f);

// For ops: calls check(values of x), which throws Error where they are wrong; at once, or where a graph is
// being captured in its check().
void verify(const Tensor& x, std::function<void(const std::vector<float>&)> check);

}  // namespace bp
