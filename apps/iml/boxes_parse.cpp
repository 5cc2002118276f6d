#include "apps/iml/boxes_parse.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "engine/error.h"

namespace bp::detail {
namespace {

// Valid JSON has no NaN; the places are found outside strings only.
std::string without_nan(std::string_view text) {
  std::string out;
  bool inside = false;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t skip = 0;
    if (!inside)
      for (const std::string_view word : {"NaN", "-NaN", "Infinity", "-Infinity"})
        if (text.substr(i).starts_with(word)) skip = word.size();
    if (skip) {
      out += "null";
      i += skip;
      continue;
    }
    if (text[i] == '"') inside = !inside;
    if (text[i] == '\\' && inside && i + 1 < text.size()) out += text[i++];
    out += text[i++];
  }
  return out;
}

}  // namespace

Json parse_json(const std::string& source, std::string_view text) {
  try {
    if (text.find("NaN") == text.npos && text.find("Infinity") == text.npos) return Json::parse(text);
    return Json::parse(without_nan(text));
  } catch (const Json::exception& e) {
    const std::string_view what = e.what();  // "[json.exception.parse_error.101] parse error at line 1, ..."
    const std::size_t tag = what.find("] ");
    fail(source, ": not valid JSON (", tag == what.npos ? what : what.substr(tag + 2), ")");
  }
}

double number_of(const Json& json, const std::string& source, std::string_view what) {
  if (json.is_null()) return std::numeric_limits<double>::quiet_NaN();
  require(json.is_number(), source, ": ", what, " is not a number");
  return json.get<double>();
}

const Json& member(const Json& object, const char* name, const std::string& source, std::string_view what) {
  const bool found = object.is_object() && object.contains(name);
  require(found, source, ": ", what, " has no \"", name, "\"");
  return object[name];
}

i64 size_of_side(const Json& object, const char* name) {
  if (!object.contains(name) || !object[name].is_number()) return 0;
  const double value = object[name].get<double>();
  return value >= 1 && value < 1e9 ? static_cast<i64>(value) : 0;
}

bool parse_number(std::string_view s, double& value) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t' || s.front() == '+')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  return error == std::errc() && end == s.data() + s.size();
}

std::string clean_name(std::string name) {
  std::replace(name.begin(), name.end(), '\\', '/');
  return relative_key(one_line(std::move(name)));
}

ImageBoxes& Entries::operator[](const std::string& image) {
  const auto [it, added] = index_.emplace(image, set_.images.size());
  if (added) set_.images.push_back({image, set_.source, 0, 0, {}});
  return set_.images[it->second];
}

Box bounds_of(std::span<const double> coordinates) {
  const double infinity = std::numeric_limits<double>::infinity();
  Box box{infinity, infinity, -infinity, -infinity, {}};
  for (std::size_t i = 0; i + 1 < coordinates.size(); i += 2) {
    const double x = coordinates[i], y = coordinates[i + 1];
    if (!std::isfinite(x) || !std::isfinite(y))
      return {x, y, x, y, {}};  // NaN or infinite: the check of the box reports it
    box.x0 = std::min(box.x0, x);
    box.y0 = std::min(box.y0, y);
    box.x1 = std::max(box.x1, x);
    box.y1 = std::max(box.y1, y);
  }
  return box;
}

}  // namespace bp::detail
