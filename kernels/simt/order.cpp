#include "kernels/simt/order.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <string>

namespace bp::simt {
namespace {

std::uint64_t next_random(std::uint64_t& state) {  // splitmix64
  std::uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

OrderKind from_environment() {
  const char* given = std::getenv("BOXPROMPT_SIMT_ORDER");
  const std::string name = given ? given : "forward";
  if (name == "forward") return {};
  if (name == "reverse") return {OrderKind::reverse, 0};
  if (name.find_first_not_of("0123456789") != std::string::npos || name.empty() || name.size() > 18)
    throw std::runtime_error("BOXPROMPT_SIMT_ORDER is '" + name + "', wanted forward, reverse or a number");
  return {OrderKind::shuffled, std::stoull(name)};
}

OrderKind& current() {
  static OrderKind kind = from_environment();
  return kind;
}

}  // namespace

OrderKind order() {
  return current();
}
void set_order(OrderKind kind) {
  current() = kind;
}

Order::Order(unsigned count, std::uint64_t block) : lanes_(count) {
  const OrderKind kind = order();
  std::iota(lanes_.begin(), lanes_.end(), 0u);
  if (kind.kind == OrderKind::reverse) std::reverse(lanes_.begin(), lanes_.end());
  shuffle_ = kind.kind == OrderKind::shuffled;
  state_ = kind.seed * 0xD1B54A32D192ED03u + block;
}

std::span<const unsigned> Order::next() {
  if (shuffle_)
    for (std::size_t i = lanes_.size(); i > 1; --i) std::swap(lanes_[i - 1], lanes_[next_random(state_) % i]);
  return lanes_;
}

BlockOrder::BlockOrder(std::uint64_t count) : count_(count) {
  const OrderKind kind = order();
  if (kind.kind == OrderKind::reverse) {
    start_ = count - 1;
    step_ = count - 1;  // one back, modulo count
  } else if (kind.kind == OrderKind::shuffled) {
    std::uint64_t state = kind.seed;
    start_ = next_random(state) % count;
    do step_ = 1 + next_random(state) % count;
    while (std::gcd(step_, count) != 1);
  }
}

}  // namespace bp::simt
