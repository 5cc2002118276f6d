// boxprompt-bench --list
#pragma once
#include <ostream>

namespace bp::bench {

// Ops with their shapes, versions on every device, and what this machine leaves out and why.
void list(std::ostream& out);

}  // namespace bp::bench
