#include "nets/student/student.h"

#include <cmath>

#include "engine/rng.h"
#include "nets/precision.h"

namespace bp::student {
namespace {

bool ends_in(const std::string& name, std::string_view end) {
  return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

// FNV-1a, so that a parameter's values do not depend on which others there are.
std::uint32_t hash_of(const std::string& name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

Tensor uniform_tensor(const Param& p, float bound, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(p.shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PhiloxCounter random =
        philox({static_cast<std::uint32_t>(i), 0, hash_of(p.name), 0}, philox_key(seed));
    values[i] = bound * (2 * uniform(random[0]) - 1);
  }
  return to_ours(from_values(p.shape, values), p.layout);
}

}  // namespace

Tensor Student::operator()(const Tensor& image) const {
  const Tensor small = fusion(trunk(image));
  return within("resize", [&] { return resize_bilinear(small, image.dim(1), image.dim(2)); });
}

Params Student::params() {
  Params all;
  trunk.collect(all, "trunk.");
  fusion.collect(all, "fusion.");
  return all;
}

void Student::prepare(Device device, DType dtype) {
  train(false);
  to_device(params(), device);
  trunk.fold(dtype);
  fusion.fold(dtype);
  round_to(params(), dtype);
  pack(params());
}

void Student::train(bool on) {
  trunk.train(on);
  fusion.train(on);
}

void initialise(const Params& params, std::uint64_t seed) {
  for (const Param& p : params) {
    if (decays(p) || ends_in(p.name, "prototypes"))
      *p.tensor = uniform_tensor(
          p, std::sqrt(3.0f * static_cast<float>(p.shape[0]) / static_cast<float>(p.shape.numel())), seed);
    else if (ends_in(p.name, "inverse_tau"))
      *p.tensor = full(p.shape, 10);
    else
      *p.tensor =
          full(p.shape, p.shape.rank() == 1 && (ends_in(p.name, ".weight") || ends_in(p.name, "running_var"))
                            ? 1.0f
                            : 0.0f);
  }
}

bool decays(const Param& p) {
  return p.shape.rank() >= 2 && !ends_in(p.name, "attention_biases") && !ends_in(p.name, "prototypes");
}

}  // namespace bp::student
