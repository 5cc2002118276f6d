// What the chosen level of kernels (dispatch.h) multiplies bf16 with, beside converting it to f32.
#pragma once

namespace bp::cpu {

bool bf16_dot();  // VDPBF16PS: the levels avx512_bf16 and amx
bool bf16_amx();  // AMX's tiles: the level amx, and everywhere while a test's stand-in is on (amx.h)

}  // namespace bp::cpu
