// In which order the emulator runs lanes and blocks: BOXPROMPT_SIMT_ORDER is "forward" (the default),
// "reverse", or a number, the seed of another order in every round.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace bp::simt {

struct OrderKind {
  enum : std::uint8_t { forward, reverse, shuffled } kind = forward;
  std::uint64_t seed = 0;
};
// What the environment says, or set_order. Throws std::runtime_error on anything else.
OrderKind order();
void set_order(OrderKind kind);

// The order of one block's lanes, round by round.
class Order {
 public:
  Order(unsigned count, std::uint64_t block);
  std::span<const unsigned> next();

 private:
  std::vector<unsigned> lanes_;
  std::uint64_t state_;
  bool shuffle_;
};

// Which block runs as the i-th.
class BlockOrder {
 public:
  explicit BlockOrder(std::uint64_t count);
  std::uint64_t operator()(std::uint64_t i) const { return (start_ + i * step_) % count_; }

 private:
  std::uint64_t count_, start_ = 0, step_ = 1;
};

}  // namespace bp::simt
