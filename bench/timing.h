// How long a call takes on memory that no cache holds.
#pragma once
#include "bench/place.h"

namespace bp::bench {

struct Timing {  // seconds of one call
  double median = 0, p10 = 0, p90 = 0, best = 0;
  int repetitions = 0, calls = 0;  // calls: per repetition, each on another copy of the operands
};
// Of the repetitions' seconds, at least one.
Timing statistics(std::vector<double> seconds);

enum class Caches : std::uint8_t { scrubbed, as_they_are };

// Times body(i), i = 0, 1, ... counting calls: so many in a row that a repetition is long beside a clock's
// tick, `expected` being what one call takes, and as many repetitions as `budget` seconds allow, at least one
// and at most 200. Before each repetition the caches are scrubbed, if so wanted.
Timing time_calls(const Place& place, const std::function<void(i64)>& body, double expected, double budget,
                  Caches caches = Caches::scrubbed);

// How many copies of `bytes` leave nothing of the first in the caches when the last has been used, within a
// quarter of the memory. At least 1.
int copies_for(const Place& place, double bytes);

}  // namespace bp::bench
