#include "apps/annotate/events.h"

#include <algorithm>

namespace bp::annotate {

void Events::publish(std::string event) {
  const std::lock_guard lock(mutex_);
  kept_.push_back(std::move(event));
  ++end_;
  if (kept_.size() > kKept) kept_.pop_front();
  wake_.notify_all();
}

std::uint64_t Events::now() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

std::vector<std::string> Events::wait(std::uint64_t& place, std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, patience, [&] { return closed_ || end_ > place; });
  if (closed_) return {};
  const std::size_t behind = std::min<std::size_t>(end_ - place, kept_.size());
  place = end_;
  return {kept_.end() - static_cast<std::ptrdiff_t>(behind), kept_.end()};
}

void Events::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  wake_.notify_all();
}

bool Events::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

}  // namespace bp::annotate
