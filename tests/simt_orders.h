// The orders of lanes and blocks that the emulated kernels are tested in.
#pragma once
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

}  // namespace bp::testing
