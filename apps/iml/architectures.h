// The one place that knows which network an architecture's name means.
#pragma once
#include "engine/param.h"
#include "weights/architecture.h"

namespace bp {

// What the architecture's parameters are called and shaped where they were published; `tensor` is null in
// all.
Params published_params(const Architecture& architecture);

}  // namespace bp
