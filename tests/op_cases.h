// One table of op cases for all the ways in which ops are tested: an op on inputs of given shapes beside a
// plain reference in double precision, written from the op's definition.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/ops.h"

namespace bp::testing {

struct Array {  // what references compute on
  Shape shape;
  std::vector<double> data;

  Array() = default;
  explicit Array(const Shape& s, double value = 0)
      : shape(s), data(static_cast<std::size_t>(s.numel()), value) {}
  i64 numel() const { return shape.numel(); }
  double& at(i64 flat) { return data[static_cast<std::size_t>(flat)]; }
  double at(i64 flat) const { return data[static_cast<std::size_t>(flat)]; }
  template <class... Index>
  double& operator()(Index... index) {
    return at(flat({static_cast<i64>(index)...}));
  }
  template <class... Index>
  double operator()(Index... index) const {
    return at(flat({static_cast<i64>(index)...}));
  }

 private:
  i64 flat(std::initializer_list<i64> index) const {
    i64 at = 0;
    int axis = 0;
    for (i64 i : index) at = at * shape[axis++] + i;
    return at;
  }
};

struct Case {
  std::string name;
  std::vector<Shape> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> op;
  std::function<Array(const std::vector<Array>&)> reference;
  i64 terms = 1;              // summands behind one value of the output, at most
  double low = -1, high = 1;  // range of the inputs
  double slack = 1;           // widens the tolerance where the op itself magnifies rounding
  bool gradient = true;
  int samples = 40;    // entries of each input that the gradient check perturbs
  bool large = false;  // left out where every multiplication is emulated
};

// All cases, or those whose names begin with what the environment variable BOXPROMPT_TEST_OPS says.
const std::vector<Case>& op_cases();

}  // namespace bp::testing
