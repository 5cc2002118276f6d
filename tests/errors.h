// What tests ask of error messages.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "engine/error.h"

// The message of the Error that f throws; empty if it throws none.
inline std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const bp::Error& e) {
    return e.what();
  }
  return "";
}

inline bool mentions(const std::string& s, std::string_view part) {
  return s.find(part) != std::string::npos;
}
