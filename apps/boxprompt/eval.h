// What eval was asked and what it found: shared by the command and its printing.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/iml/evaluate.h"
#include "apps/iml/localizer.h"

namespace bp::app {

struct EvalRequest {
  std::string maps, weights, html, protocol = "paper", tile, device;
  DType dtype = DType::f32;
  std::vector<std::string> truth;
  EvalOptions eval;
  double threshold = -1;  // below 0: 0.5 for maps, the weights' own for a student
  i64 size = 0;
  bool tiled = false, robust = false, social = false, json = false, per_image = false;
};

struct EvalResult {
  std::vector<SetScores> sets;
  // One per set: the map of one of its samples again.
  std::vector<std::function<Tensor(const Sample&)>> map_of;
  std::vector<std::string> notes;
  std::string source;  // "maps/", or the weights with input size and tiles
  std::size_t failures = 0;
};

// The mean over the sets of a value that all have; none where one of them has none.
std::optional<double> mean_over(const std::vector<SetScores>& sets,
                                const std::function<std::optional<double>(const SetScores&)>& value);

void print_eval(const EvalResult& result, const EvalRequest& request);
std::string eval_json(const EvalResult& result, const EvalRequest& request);

}  // namespace bp::app
