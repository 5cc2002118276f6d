// The one place that knows which network an architecture's name means.
#pragma once
#include "nets/fusion/fusion.h"
#include "weights/architecture.h"

namespace bp {

// What the architecture's parameters are called and shaped where they were published; `tensor` is null in
// all.
Params published_params(const Architecture& architecture);

// True for what is stored with the parameters but never learned: running statistics, SAM's random matrix.
bool is_buffer(std::string_view published_name);

// Which parts a student has, by its architecture's name, and the other way round.
fusion::Parts student_parts(const Architecture& architecture);
Architecture student_architecture(const fusion::Parts& parts);

}  // namespace bp
