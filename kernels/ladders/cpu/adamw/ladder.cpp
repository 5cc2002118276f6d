#include "kernels/ladders/cpu/table.h"

namespace bp::cpu {

k::Ladder<k::AdamW> adamw_ladder() {
  return {};
}

}  // namespace bp::cpu
