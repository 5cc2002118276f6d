// Runs every rung of a CPU ladder beside the kernel in use, on memory where a stray access stops the program.
#pragma once
#include <bit>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/features.h"
#include "kernels/ladders/ladders.h"
#include "kernels/threads.h"
#include "tests/simt_case.h"

namespace bp::testing {

// For its lifetime rungs that use AMX run everywhere.
struct AmxStandIn {
  AmxStandIn() { cpu::amx::use_stand_in(true); }
  ~AmxStandIn() { cpu::amx::use_stand_in(false); }
};

struct Threads {  // for its lifetime
  explicit Threads(int n) : before(threads()) { set_threads(n); }
  ~Threads() { set_threads(before); }
  int before;
};

// Whether the machine has what the rung's name says that it uses; the later ones use AVX-512 without saying
// so.
inline bool machine_runs(const std::string& name, const std::string& avx512_from) {
  const auto says = [&](const char* what) { return name.find(what) != std::string::npos; };
  if (says("amx")) return avx512_from.empty() || cpu::has_avx512();
  if (says("bf16")) return cpu::has_avx512_bf16();
  if (says("avx512") || (!avx512_from.empty() && name >= avx512_from)) return cpu::has_avx512();
  return !says("avx2") || cpu::has_avx2();
}

template <class Args>
struct LadderCase {
  std::vector<Operand> operands;
  std::function<Args(DType, const Pointers&)> arguments;
  double tolerance = 2e-6, bf16_tolerance = 0;  // as check_kernel has them
  double rounding_tolerance = 0;                // and for rungs that round to bf16 on the way, in their names
};

// Every rung that takes the arguments computes what `engine` does, with the same bits on one thread and on
// three, and leaves its inputs alone. should_take(name, dtype) says which rungs take them on this machine.
template <class Args, class ShouldTake>
void check_ladder(const k::Ladder<Args>& ladder, void (*k::Kernels::*engine)(const Args&),
                  const LadderCase<Args>& c, const ShouldTake& should_take) {
  const AmxStandIn amx;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::string type = name_of(dtype);
    CAPTURE(type);
    std::vector<Operand> plain = c.operands;
    for (Operand& x : plain)
      if (!x.always_f32 && dtype == DType::bf16)
        for (float& v : x.values) v = to_f32(to_bf16(v));
    const std::vector<Floats> wanted =
        after(cpu::kernels(), plain, DType::f32,
              [&](const k::Kernels& t, DType d, const Pointers& x) { (t.*engine)(c.arguments(d, x)); });
    for (const k::Rung<Args>& rung : ladder) {
      const std::string name = rung.name;
      CAPTURE(name);
      bool taken = false;
      const Call call = [&](const k::Kernels&, DType d, const Pointers& x) {
        const Args args = c.arguments(d, x);
        taken = rung.takes(args);
        if (taken) rung.run(args);
      };
      std::vector<Floats> got, again;
      {
        const Threads one(1);
        got = after(cpu::kernels(), c.operands, dtype, call);
      }
      CHECK(taken == should_take(name, dtype));
      if (!taken) continue;
      {
        const Threads three(3);
        again = after(cpu::kernels(), c.operands, dtype, call);
      }
      const bool rounds = name.find("bf16") != std::string::npos || name.find("amx") != std::string::npos;
      for (std::size_t i = 0; i < c.operands.size(); ++i) {
        CAPTURE(i);
        const Operand& x = c.operands[i];
        const bool rounded = !x.always_f32 && dtype == DType::bf16;
        double tolerance = rounded ? std::max(c.tolerance, c.bf16_tolerance) : c.tolerance;
        if (rounds) tolerance = std::max(tolerance, c.rounding_tolerance);
        std::string where;
        const bool good = x.output ? close(got[i], wanted[i], tolerance, rounded, where)
                                   : close(got[i], plain[i].values, 0, false, where);
        CHECK_MESSAGE(good, where);
        const auto same_bits = [](float a, float b) {
          return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
        };
        const bool same =
            std::equal(got[i].begin(), got[i].end(), again[i].begin(), again[i].end(), same_bits);
        CHECK_MESSAGE(same, "three threads give other bits than one");
      }
    }
  }
}

}  // namespace bp::testing
