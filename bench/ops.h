// The ops that boxprompt-bench knows, each with shapes named after the layer of the network they come from.
#pragma once
#include "bench/problem.h"

namespace bp::bench {

struct NamedShape {
  std::string name;
  Sizes sizes;
};

struct Op {
  std::string name, what;
  std::vector<std::string> axes, kinds;
  std::vector<NamedShape> shapes;  // the first is the one that docs/kernels/ speaks of
  // Axes by which a smaller problem of the same nature is found, and how small they may become.
  struct Cut {
    std::size_t axis;
    i64 least;
  };
  std::vector<Cut> cuts;
  Problem (*make)(const Sizes&, DType);
  // In f32, with all operands that the problem has in another type, where they are not the same.
  Problem (*reference)(const Sizes&, DType) = nullptr;

  Problem in_f32(const Sizes& sizes, DType of) const {
    return reference ? reference(sizes, of) : make(sizes, DType::f32);
  }
};

const std::vector<Op>& all_ops();
const Op& op_named(const std::string& name);  // Error where there is none

// A shape of the op by its name, or from sizes (then it is named by them). Error where it is neither.
NamedShape shape_of(const Op& op, const std::string& given);

// A smaller shape of at most `ops` operations where the cuts allow it, the same where it is small enough.
Sizes cut_to(const Op& op, Sizes sizes, double ops);

std::vector<Op> product_ops();
std::vector<Op> attention_ops();
std::vector<Op> row_ops();
std::vector<Op> map_ops();
std::vector<Op> training_ops();

}  // namespace bp::bench
