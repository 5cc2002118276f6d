#include "bench/sizes.h"

#include <algorithm>
#include <charconv>

#include "engine/error.h"

namespace bp::bench {

std::vector<std::string> split(const std::string& list, char by) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(by, begin), list.size());
    require(end > begin, "'", list, "': an empty name between '", by, "'");
    parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string join(const std::vector<std::string>& parts, const std::string& by) {
  std::string all;
  for (const std::string& p : parts) all += (all.empty() ? "" : by) + p;
  return all;
}

Sizes parse_sizes(const std::string& given, const std::vector<std::string>& axes,
                  const std::vector<std::string>& kinds) {
  const std::size_t colon = given.find(':');
  Sizes sizes;
  if (colon != std::string::npos) sizes.kind = given.substr(colon + 1);
  for (const std::string& part : split(given.substr(0, colon), 'x')) {
    i64 n = 0;
    const char* end = part.data() + part.size();
    const auto [stopped, error] = std::from_chars(part.data(), end, n);
    require(error == std::errc{} && stopped == end && n >= 1 && n < (i64{1} << 31), "shape ", given, ": '",
            part, "' is no size; wanted ", join(axes, " x "));
    sizes.n.push_back(n);
  }
  require(sizes.n.size() == axes.size(), "shape ", given, ": ", sizes.n.size(), " sizes, wanted ",
          join(axes, " x "));
  require(sizes.kind.empty() ? colon == std::string::npos
                             : std::find(kinds.begin(), kinds.end(), sizes.kind) != kinds.end(),
          "shape ", given, ": unknown kind '", sizes.kind, "'",
          kinds.empty() ? ", there is none" : ", known: " + join(kinds, ", "));
  return sizes;
}

std::string to_text(const Sizes& sizes) {
  std::string all;
  for (const i64 n : sizes.n) all += (all.empty() ? "" : "x") + std::to_string(n);
  return sizes.kind.empty() ? all : all + ":" + sizes.kind;
}

}  // namespace bp::bench
