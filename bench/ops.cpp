#include "bench/ops.h"

#include <algorithm>

#include "engine/error.h"

namespace bp::bench {

const std::vector<Op>& all_ops() {
  static const std::vector<Op> all = [] {
    std::vector<Op> ops;
    for (auto* group : {product_ops, attention_ops, row_ops, map_ops, training_ops})
      for (Op& op : group()) ops.push_back(std::move(op));
    return ops;
  }();
  return all;
}

const Op& op_named(const std::string& name) {
  std::vector<std::string> known;
  for (const Op& op : all_ops()) {
    if (op.name == name) return op;
    known.push_back(op.name);
  }
  fail("unknown op ", name, ", known: ", join(known, ", "));
}

NamedShape shape_of(const Op& op, const std::string& given) {
  std::vector<std::string> known;
  for (const NamedShape& s : op.shapes) {
    if (s.name == given) return s;
    known.push_back(s.name);
  }
  require(!given.empty() && given[0] >= '0' && given[0] <= '9', op.name, ": unknown shape ", given,
          ", known: ", join(known, ", "), "; or sizes ", join(op.axes, "x"));
  const Sizes sizes = parse_sizes(given, op.axes, op.kinds);
  return {to_text(sizes), sizes};
}

Sizes cut_to(const Op& op, Sizes sizes, double ops) {
  while (op.make(sizes, DType::f32).work.ops > ops) {
    const auto cut = std::find_if(op.cuts.begin(), op.cuts.end(),
                                  [&](const Op::Cut& c) { return sizes.n[c.axis] / 2 >= c.least; });
    if (cut == op.cuts.end()) break;
    sizes.n[cut->axis] /= 2;
  }
  return sizes;
}

}  // namespace bp::bench
