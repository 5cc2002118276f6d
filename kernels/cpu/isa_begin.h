// Opens the region of a kernel file that is compiled for the instruction set BP_ISA (avx2, avx512 or
// generic), one object file per level. What is included above this line stays at the baseline: inline
// functions of the standard library must not be compiled for AVX-512, because the linker keeps one copy of
// them for all levels. No include guard: each kernel file includes it once, after all other headers, and
// isa_end.h at its end.
#pragma GCC push_options
#if BP_ISA_LEVEL == 512
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi,bmi2,prefer-vector-width=512")
#elif BP_ISA_LEVEL == 2
#pragma GCC target("avx2,fma,f16c,bmi,bmi2")
#endif
namespace bp::cpu::BP_ISA {
