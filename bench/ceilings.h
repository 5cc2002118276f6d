// What a device can do at most, measured on it: no kernel may be faster.
#pragma once
#include <algorithm>
#include <map>

#include "bench/place.h"

namespace bp::bench {

struct Ceilings {
  double copy = 0;  // bytes/s, read and written: the device's own copy of a large block
  double read = 0;  // bytes/s of a sum over a large block; some memories read faster than they copy
  // bytes/s, read and written, of a block that is changed where it is: a processor's copy also reads, unseen,
  // what it overwrites.
  double update = 0;
  // ops/s by element type: on the processor multiply-adds in registers on all threads, of the widest
  // instructions that there are for the type; elsewhere the largest product of matrices.
  std::map<std::string, double> peak;

  double bandwidth() const { return std::max({copy, read, update}); }
  // The least seconds that the work takes, and which ceiling says so.
  double floor(const Work& work, DType dtype) const;
  bool bound_by_memory(const Work& work, DType dtype) const;
};

// Takes some seconds. A product that was measured faster later raises the ceiling: see raise().
Ceilings measure_ceilings(const Place& place);

// Of two measurements of one device, the larger of each.
Ceilings larger(Ceilings a, const Ceilings& b);

// A product of matrices was measured at this rate. On GPUs, where the ceiling is the best product, it becomes
// the ceiling if it is above it; true if so.
bool raise(Ceilings& ceilings, const Place& place, DType dtype, double ops_per_second);

// Multiply-adds in registers, ops/s on all threads; 0 where the processor has no instructions for the type
// but those that convert to f32.
double cpu_peak(DType dtype);

}  // namespace bp::bench
