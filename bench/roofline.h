// The roofline model (Williams, Waterman and Patterson, 2009): operations per second over operations per byte
// of every kernel that was timed, under the ceilings of the device.
#pragma once
#include "bench/report.h"

namespace bp::bench {

// Error where nothing was timed.
std::string roofline(const Report& report);

}  // namespace bp::bench
