// Closes what isa_begin.h opened.
}  // namespace bp::cpu::BP_ISA
#pragma GCC pop_options
