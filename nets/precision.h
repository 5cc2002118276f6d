// Networks in bf16: products, convolutions and attention are, between them everything stays f32: the residual
// stream, norms, positions, the first and the last layers, which are few operations and much of the accuracy.
// Each layer (layers.h) rounds what it is given to the type of its weights.
#pragma once
#include "engine/param.h"

namespace bp {

// Whether a parameter, by its published name, is of what bf16 is for.
bool may_round(const Param& param);
// Turns those parameters into `dtype`.
void round_to(const Params& params, DType dtype);

}  // namespace bp
