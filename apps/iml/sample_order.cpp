#include "apps/iml/sample_order.h"

#include <numeric>

#include "engine/error.h"
#include "engine/rng.h"

namespace bp {
namespace {

// Fisher and Yates' shuffle.
void shuffle(std::vector<std::uint32_t>& order, std::uint64_t seed, std::size_t stream, i64 round) {
  for (std::size_t i = order.size(); i-- > 1;) {
    const auto random = philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(stream),
                                static_cast<std::uint32_t>(round), 0x0dde},
                               philox_key(seed));
    std::swap(order[i], order[(std::uint64_t{random[0]} * (i + 1)) >> 32]);
  }
}

}  // namespace

SampleOrder::SampleOrder(std::vector<i64> set_sizes, std::uint64_t seed, bool balanced)
    : sizes_(std::move(set_sizes)), seed_(seed) {
  require(!sizes_.empty(), "training: no data set");
  for (const i64 size : sizes_) require(size > 0, "training: a data set without samples");
  if (balanced)
    for (const i64 size : sizes_) streams_.push_back({size, -1, {}});
  else
    streams_.push_back({std::accumulate(sizes_.begin(), sizes_.end(), i64{0}), -1, {}});
}

SampleOrder::Pick SampleOrder::at(i64 n) {
  const auto turns = static_cast<i64>(streams_.size());
  const auto turn = static_cast<std::size_t>(n % turns);
  Stream& stream = streams_[turn];
  const i64 draw = n / turns, round = draw / stream.size;
  if (round != stream.round) {
    stream.order.resize(static_cast<std::size_t>(stream.size));
    std::iota(stream.order.begin(), stream.order.end(), 0u);
    shuffle(stream.order, seed_, turn, round);
    stream.round = round;
  }
  const i64 at = stream.order[static_cast<std::size_t>(draw % stream.size)];
  if (streams_.size() == sizes_.size()) return {static_cast<i64>(turn), at};
  Pick pick{0, at};
  while (pick.index >= sizes_[static_cast<std::size_t>(pick.set)])
    pick.index -= sizes_[static_cast<std::size_t>(pick.set++)];
  return pick;
}

}  // namespace bp
