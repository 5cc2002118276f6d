// Chooses the CPU's table of kernels by what the processor (and the operating system) can run.
#pragma once
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace bp::cpu {

// The highest level that this machine runs, or the one that the environment variable BOXPROMPT_CPU names;
// chosen once. Throws std::runtime_error where that level is unknown or cannot run here, or no level can.
const k::Kernels& kernels();

std::string level();                  // of kernels(): "amx", "avx512_bf16", "avx512", "avx2" or "generic"
std::vector<std::string> levels();    // compiled in and able to run here, highest first
std::vector<std::string> features();  // instruction sets of this processor that matter here, used or not
std::string model_name();

}  // namespace bp::cpu
