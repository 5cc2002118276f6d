// For tests that run on any device (test_device.h): skipped where that cannot be used on this machine.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <iostream>

#include "tests/test_device.h"

int main(int argc, char** argv) {
  const std::string why = bp::testing::why_skip();
  if (!why.empty()) {
    std::cout << "skipped: " << why << '\n';
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
