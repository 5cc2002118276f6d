// Where the time of a network goes: every kernel that it asks for, timed by itself, by part of the network.
#pragma once
#include <nlohmann/json.hpp>
#include <ostream>

#include "bench/ceilings.h"

namespace bp::bench {

struct KernelCall {
  std::string part;       // of the network: "trunk/stage 1/block 0"
  std::string op, sizes;  // as in "matmul", "4096x2304x768"
  DType dtype = DType::f32;
  Work work;
  double seconds = 0;
};

struct NetProfile {
  std::string net, dtype;
  i64 batch = 1;
  double whole = 0;               // seconds end to end, undisturbed
  std::vector<KernelCall> calls;  // in order
  double in_kernels() const;
};

// Runs `body` `runs` times; each call's time is the median of its times. The device waits after each kernel,
// so the sum differs from the whole. Error where the runs did not ask for the same kernels.
std::vector<KernelCall> profile_calls(const Place& place, const std::function<void()>& body, int runs);

// The parts of the network down to the second level, and the kernels that take the most time together.
void print_profile(std::ostream& out, const NetProfile& profile, const Ceilings& ceilings);
nlohmann::json to_json(const NetProfile& profile);

// Time from left to right, parts above what they consist of, kernels at the bottom of each.
std::string flame(const NetProfile& profile, const Ceilings& ceilings);

}  // namespace bp::bench
