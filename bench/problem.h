// What is timed: an op at one shape and element type, as operands to allocate and versions to call on them.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/sizes.h"
#include "bench/work.h"
#include "kernels/ladders/ladders.h"

namespace bp::bench {

enum class Role : std::uint8_t { in, out, inout };

struct Operand {  // n elements; inputs are uniform in [low, high)
  Role role;
  i64 n;
  DType dtype;
  float low = 0, high = 0;
};

using Pointers = std::vector<void*>;  // one per operand
using Call = std::function<void()>;

struct Version {
  std::string name, idea;
  std::function<Call(const Pointers&)> bind;  // no call where this version does not take the problem
};

struct Problem {
  Work work;
  DType dtype;
  std::vector<Operand> operands;
  // Of a device: the rungs of its ladder, and at last the kernel in use, "engine".
  std::function<std::vector<Version>(const k::Kernels&, const k::Ladders*)> versions;

  double bytes() const {  // of all operands
    double sum = 0;
    for (const Operand& x : operands) sum += static_cast<double>(x.n) * static_cast<double>(size_of(x.dtype));
    return sum;
  }
};

template <class Args>
using Kernel = void (*k::Kernels::*)(const Args&);
template <class Args>
using LadderOf = k::Ladder<Args> k::Ladders::*;

// A problem whose arguments `fill` completes with pointers; what it returns lives as long as the call.
template <class Args>
Problem make_problem(const Args& sizes, DType dtype, std::vector<Operand> operands,
                     std::function<std::shared_ptr<void>(Args&, const Pointers&)> fill, Kernel<Args> kernel,
                     LadderOf<Args> ladder = nullptr) {
  Problem p{.work = {}, .dtype = dtype, .operands = std::move(operands), .versions = nullptr};
  // The formulas ask only which pointers are null.
  Args there = sizes;
  static char somewhere;
  const auto kept = fill(there, Pointers(p.operands.size(), &somewhere));
  p.work = work_of(there);
  p.versions = [=](const k::Kernels& kernels, const k::Ladders* ladders) {
    std::vector<Version> all;
    const auto add = [&](const char* name, const char* idea, void (*run)(const Args&),
                         bool (*takes)(const Args&)) {
      all.push_back({name, idea, [=](const Pointers& pointers) -> Call {
                       Args args = sizes;
                       const auto keep = fill(args, pointers);
                       if (takes && !takes(args)) return {};
                       return [=] {
                         static_cast<void>(keep);
                         run(args);
                       };
                     }});
    };
    if (ladders && ladder)
      for (const k::Rung<Args>& r : ladders->*ladder) add(r.name, r.idea, r.run, r.takes);
    add("engine", "the kernel in use", kernels.*kernel, nullptr);
    return all;
  };
  return p;
}

// An operand and the argument that points to it.
template <class Args>
struct Slot {
  Operand operand;
  std::function<void(Args&, void*)> set;
};
template <class Args, class P>
Slot<Args> slot(P Args::*member, Operand operand) {
  return {operand, [member](Args& a, void* p) { a.*member = static_cast<P>(p); }};
}

template <class Args>
Problem make_problem(const Args& sizes, const std::vector<Slot<Args>>& slots, Kernel<Args> kernel,
                     LadderOf<Args> ladder = nullptr) {
  std::vector<Operand> operands;
  for (const Slot<Args>& s : slots) operands.push_back(s.operand);
  const auto fill = [slots](Args& a, const Pointers& pointers) -> std::shared_ptr<void> {
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i].set(a, pointers[i]);
    return nullptr;
  };
  return make_problem<Args>(sizes, sizes.dtype, std::move(operands), fill, kernel, ladder);
}

inline Operand input(DType t, i64 n, float low = -1, float high = 1) {
  return {Role::in, n, t, low, high};
}
inline Operand output(DType t, i64 n) {
  return {Role::out, n, t};
}

}  // namespace bp::bench
