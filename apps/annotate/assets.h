// The files of page/, embedded in the program by embed.cmake.
#pragma once
#include <span>
#include <string_view>

namespace bp::annotate {

struct Asset {
  std::string_view name;  // "app.js"
  std::string_view bytes;
};

std::span<const Asset> assets();

}  // namespace bp::annotate
