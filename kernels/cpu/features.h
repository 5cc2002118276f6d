// What dispatch and rungs ask of the processor.
#pragma once

namespace bp::cpu {

// Each as kernels/cpu/isa_begin.h compiles for it: the processor has the instructions, and the system saves
// their registers. False on other architectures than x86-64.
bool has_avx2();
bool has_avx512();
bool has_avx512_bf16();

// AMX: the processor has tiles with bf16 products, and Linux has allowed this process to use their registers
// (asked for once; all its threads may then).
bool has_amx();

}  // namespace bp::cpu
