// A device as the benchmarks use it: memory, marks in time, kernels and ladders; the processor is one, too.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bench/problem.h"
#include "engine/device.h"

namespace bp::bench {

class Place {
 public:
  explicit Place(Device device);

  Device device() const { return device_; }
  bool is_cpu() const { return device_.type == Device::Type::cpu; }
  bool emulated() const { return device_.type == Device::Type::simt; }
  std::string name() const;  // of the hardware
  const k::Kernels& kernels() const;
  const k::Ladders* ladders() const;
  // Of the last level of cache, as far as that is known, and of memory that may be used.
  double cache_bytes() const { return cache_; }
  double memory_bytes() const { return memory_; }

  std::shared_ptr<void> allocate(std::size_t bytes) const;  // Error where there is no memory
  void upload(void* to, const void* from, std::size_t bytes) const;
  void download(void* to, const void* from, std::size_t bytes) const;
  void copy(void* to, const void* from, std::size_t bytes) const;  // the fastest there is
  void synchronize() const;

  void* mark() const;
  double seconds(void* from, void* to) const;  // both marks are gone afterwards
  // Fills the caches with other bytes, which have yet to go to memory: what a kernel writes next pushes as
  // much out, as it would in the long run.
  void scrub() const;

 private:
  Device device_;
  double cache_, memory_;
  mutable std::shared_ptr<void> dirt_;
};

// One copy of a problem's operands.
class Operands {
 public:
  Operands(const Place& place, const Problem& problem);
  const Pointers& pointers() const { return pointers_; }
  // Values as random_values() makes them.
  void fill(const std::vector<std::vector<float>>& values) const;
  std::vector<float> read(std::size_t operand) const;

 private:
  const Place& place_;
  const std::vector<Operand> operands_;
  std::vector<std::shared_ptr<void>> blocks_;
  Pointers pointers_;
};

// Random inputs, the same for the same seed, and NaN for outputs; rounded where the operand is in bf16.
std::vector<std::vector<float>> random_values(const Problem& problem, unsigned seed);

}  // namespace bp::bench
