// What may happen to an image between the forger and the expert, for curves of robustness.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace bp {

struct Perturbation {
  std::string family;  // "blur", "noise", "jpeg" or "social"
  std::string name;    // the level, or the network
  double level = 0;    // kernel, variance, quality; of a social network 0
  // u8 [H,W,3] at its original resolution; `seed` for noise.
  std::function<Tensor(const Tensor& image, std::uint64_t seed)> apply;
};

// The protocol of IMDL-BenCo (arXiv 2406.10580): Gaussian blur with kernels 3, 7, 11, 15, 19, 23 (0 is the
// image itself), Gaussian noise of variance 3, 7, 11, 15, 19, 23 on 0..255, JPEG of quality 100 to 50.
std::vector<Perturbation> robustness_levels();

// Social networks as the two things that they surely do: the longer side is reduced to a limit, and a JPEG is
// made. Approximations of ours; what the networks really do changes with time, size and client.
struct SocialProfile {
  const char* name;
  i64 longest_side;
  int quality;
};
const std::vector<SocialProfile>& social_profiles();
std::vector<Perturbation> social_networks();

}  // namespace bp
