// The result of an evaluation as one HTML file that needs nothing else: tables, curves, best and worst
// images.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/iml/evaluate.h"

namespace bp {

// map_of(set, image) gives the map of sets[set].images[image] again, for the pictures. A picture that cannot
// be made is left out; its line stays.
std::string evaluation_html(const std::vector<SetScores>& sets, const EvalOptions& options,
                            const std::function<Tensor(std::size_t set, std::size_t image)>& map_of);

// Curves and a table of one set's perturbed scores; empty where there are none.
std::string robustness_html(const SetScores& scores);

}  // namespace bp
