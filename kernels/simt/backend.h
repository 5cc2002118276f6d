// The emulator as a device of the engine: "simt".
#pragma once
#include "kernels/backend.h"

namespace bp::simt {

const k::Backend* backend();

}  // namespace bp::simt
