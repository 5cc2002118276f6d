// Two reports beside each other: what became faster, with the noise taken into account.
#pragma once
#include "bench/report.h"

namespace bp::bench {

enum class Verdict : std::uint8_t { same, faster, slower };

struct Change {
  double ratio = 1;  // time after over time before
  double noise = 0;  // a ratio within 1 / (1 + noise) and 1 + noise says nothing
  Verdict verdict = Verdict::same;
};

// Noise is twice the standard deviation of both medians' repetitions, told from their 10 % and 90 % quantiles
// as of a normal distribution, and at least 2 %: machines drift between runs. Fewer than five repetitions say
// nothing of their spread; 10 % are assumed for them then.
Change change(const Timing& before, const Timing& after);

// A line per row that both have, and what only one has.
void print_comparison(std::ostream& out, const Report& before, const Report& after);

}  // namespace bp::bench
