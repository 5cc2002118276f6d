// What happened, for windows that listen. All members may be called from any thread.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace bp::annotate {

class Events {
 public:
  void publish(std::string event);
  std::uint64_t now() const;  // where a new listener begins
  // The events since `place`, which moves on; waits for one, at most for `patience`. One that is too far
  // behind misses the oldest.
  std::vector<std::string> wait(std::uint64_t& place, std::chrono::milliseconds patience);
  void close();  // ends all waiting, now and later
  bool closed() const;

 private:
  static constexpr std::size_t kKept = 1000;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> kept_;
  std::uint64_t end_ = 0;  // number of events so far; kept_ are the last ones
  bool closed_ = false;
};

}  // namespace bp::annotate
