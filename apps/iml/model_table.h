// A network's layers with the shapes of their outputs, their parameters and what they cost, from one forward.
#pragma once
#include <string>
#include <vector>

#include "weights/architecture.h"

namespace bp {

struct LayerRow {
  std::string layer;  // the published names' common part; empty for products without parameters
  std::string op;
  Shape output;  // of one image
  i64 parameters = 0, multiply_adds = 0;
};

struct ModelTable {
  Shape input;
  std::vector<LayerRow> layers;
  i64 parameters = 0;     // what training learns: statistics and other buffers not counted
  i64 multiply_adds = 0;  // of products, convolutions and attention for one image
};

// Runs the network once, at weights of 0, on an image of size x size (SAM: 1024, with one box). The figures
// are those of the ops that ran. Throws Error where the network does not take that size.
ModelTable model_table(const Architecture& architecture, i64 size, Device device = {});
i64 default_size(const Architecture& architecture);

}  // namespace bp
