// The sizes of an op as one writes them: "4096x2304x768", and after a colon which of its kinds is meant.
#pragma once
#include <string>
#include <vector>

#include "kernels/dtype.h"

namespace bp::bench {

struct Sizes {
  std::vector<i64> n;
  std::string kind;  // "" is the usual one
  i64 operator[](std::size_t i) const { return n[i]; }
  friend bool operator==(const Sizes&, const Sizes&) = default;
};

// Throws Error unless there are `axes.size()` numbers from 1 to 2^31 - 1 and the kind is "" or one of
// `kinds`.
Sizes parse_sizes(const std::string& given, const std::vector<std::string>& axes,
                  const std::vector<std::string>& kinds);
std::string to_text(const Sizes& sizes);

// "a,b,c" in its parts; Error where one is empty.
std::vector<std::string> split(const std::string& list, char by = ',');
std::string join(const std::vector<std::string>& parts, const std::string& by);

}  // namespace bp::bench
