// The orders of lanes and blocks that the emulated kernels are tested in.
#pragma once
#include <doctest/doctest.h>

#include <vector>

#include "kernels/simt/order.h"

namespace bp::testing {

inline std::vector<simt::OrderKind> orders() {
  using simt::OrderKind;
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer sees what barriers order, whichever order the lanes are run in, and takes its time.
  return {OrderKind{}};
#else
  return {OrderKind{}, OrderKind{OrderKind::reverse, 0}, OrderKind{OrderKind::shuffled, 3}};
#endif
}

// Runs the body in each of them.
template <class Body>
void in_orders(const Body& body) {
  for (const simt::OrderKind kind : orders()) {
    CAPTURE(static_cast<int>(kind.kind));
    simt::set_order(kind);
    body();
  }
  simt::set_order({});
}

}  // namespace bp::testing
