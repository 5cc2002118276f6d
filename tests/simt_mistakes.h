// For tests of the emulator itself: a body in every order, and mistakes that it has to find.
#pragma once
#include <doctest/doctest.h>

#include <functional>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "tests/simt_orders.h"

namespace bp::testing {

#ifdef __SANITIZE_THREAD__
constexpr bool kWatchesRaces = true;
#else
constexpr bool kWatchesRaces = false;
#endif

// f() throws an error that says all of these.
inline void check_mistake(const std::function<void()>& f, std::initializer_list<const char*> parts) {
  std::string message;
  try {
    f();
  } catch (const std::runtime_error& e) {
    message = e.what();
  }
  CAPTURE(message);
  for (const char* part : parts) CHECK(message.find(part) != std::string::npos);
}

}  // namespace bp::testing
