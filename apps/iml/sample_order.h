// In which order a training run sees the samples of its data sets: a function of the seed alone, so that a
// resumed run goes on where it was.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/dtype.h"

namespace bp {

// Each round goes through a set in an order of its own; no sample comes again before the round is over.
// Balanced: the sets take turns, however large they are, as IMDL-BenCo's balanced data set does; otherwise
// they are one. Not for several threads at once.
class SampleOrder {
 public:
  // Throws Error on a set without samples, or no set.
  SampleOrder(std::vector<i64> set_sizes, std::uint64_t seed, bool balanced);

  struct Pick {
    i64 set = 0, index = 0;
    friend bool operator==(const Pick&, const Pick&) = default;
  };
  Pick at(i64 n);  // of draw n = 0, 1, ...

 private:
  struct Stream {
    i64 size = 0, round = -1;
    std::vector<std::uint32_t> order;  // of that round
  };
  std::vector<i64> sizes_;
  std::vector<Stream> streams_;
  std::uint64_t seed_;
};

}  // namespace bp
