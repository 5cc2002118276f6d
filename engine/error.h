// How the system reports errors: exceptions whose message names the op or file, the value found and the one
// wanted.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace bp {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A device, or the machine, has no memory left for a tensor.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// All arguments written one after another: text("weight ", shape, " for input ", other).
template <class... Args>
std::string text(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

template <class... Args>
[[noreturn]] void fail(const Args&... args) {
  throw Error(text(args...));
}

// The arguments are formatted only where the condition is false.
template <class... Args>
void require(bool condition, const Args&... args) {
  if (!condition) [[unlikely]]
    fail(args...);
}

}  // namespace bp
