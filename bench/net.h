// Whole networks: how long they take, and where the time goes.
#pragma once
#include <optional>

#include "bench/profile.h"
#include "bench/report.h"

namespace bp::bench {

// "sam_vit_t", ..., "student", "train": "sam_*" are the image encoder and the decoder for one box, "student"
// a forward at 224 x 224, "train" a step of its training.
const std::vector<std::string>& net_names();

struct NetResult {
  std::vector<NetRow> rows;
  std::vector<NetProfile> profiles;  // one per row that is no graph
};

// On procedural weights. batch 0: the network's usual one; SAM takes images one by one. In bf16 a network is
// what nets/precision.h says. Where the device is a GPU, what can be recorded as a graph is timed as one,
// too. Error where there is no such network.
NetResult run_net(const Place& place, const std::string& name, DType dtype, i64 batch, double seconds);

}  // namespace bp::bench
