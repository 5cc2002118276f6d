// Runs a kernel of kernels/cuda on the emulator beside the CPU's, on memory where a stray access stops the
// program, in several orders of lanes and blocks.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/dispatch.h"
#include "kernels/simt/backend.h"
#include "kernels/simt/order.h"
#include "tests/simt_orders.h"

namespace bp::testing {

using Floats = std::vector<float>;

// Numbers in [low, high) that are different for every seed.
inline Floats numbers(i64 n, unsigned seed, float low = -1, float high = 1) {
  Floats v(static_cast<std::size_t>(n));
  unsigned state = seed * 747796405u + 2891336453u;
  for (float& x : v) {
    state = state * 1664525u + 1013904223u;
    x = low + (high - low) * static_cast<float>(state >> 8) * 0x1p-24f;
  }
  return v;
}

// What a kernel gets a pointer to. Outputs hold NaN bytes unless they have values to begin with.
struct Operand {
  Floats values;
  bool output = false;
  bool always_f32 = false;  // else of the op's type
  bool null = false;
  i64 offset = 0;  // elements by which it starts beside an address of 16 bytes
};
inline Operand input(Floats values) {
  return {std::move(values), false, false, false, 0};
}
inline Operand input_f32(Floats values) {
  return {std::move(values), false, true, false, 0};
}
inline Operand output(i64 n) {
  return {Floats(static_cast<std::size_t>(n), std::nanf("")), true, false, false, 0};
}
inline Operand output_f32(i64 n) {
  return {Floats(static_cast<std::size_t>(n), std::nanf("")), true, true, false, 0};
}
inline Operand null() {
  return {{}, false, false, true, 0};
}
inline Operand shifted(Operand x, i64 offset) {
  x.offset = offset;
  return x;
}

// A block of the emulator's device.
class Block {
 public:
  Block(const Operand& x, DType dtype) : dtype_(x.always_f32 ? DType::f32 : dtype), count_(x.values.size()) {
    const std::size_t skipped = static_cast<std::size_t>(x.offset) * size_of(dtype_);
    base_ = simt::backend()->allocate(skipped + count_ * size_of(dtype_));
    data_ = static_cast<char*>(base_) + skipped;
    for (std::size_t i = 0; i < count_; ++i) {
      if (dtype_ == DType::f32)
        static_cast<float*>(data_)[i] = x.values[i];
      else
        static_cast<bf16*>(data_)[i] = to_bf16(x.values[i]);
    }
  }
  ~Block() { simt::backend()->release(base_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void* data() const { return data_; }
  DType dtype() const { return dtype_; }
  Floats read() const {
    Floats v(count_);
    for (std::size_t i = 0; i < count_; ++i)
      v[i] = dtype_ == DType::f32 ? static_cast<float*>(data_)[i] : to_f32(static_cast<bf16*>(data_)[i]);
    return v;
  }

 private:
  DType dtype_;
  std::size_t count_;
  void *base_, *data_;
};

using Pointers = std::vector<void*>;
using Call = std::function<void(const k::Kernels&, DType, const Pointers&)>;

// The operands after the call on a table of kernels.
inline std::vector<Floats> after(const k::Kernels& kernels, const std::vector<Operand>& operands, DType dtype,
                                 const Call& call) {
  std::vector<std::unique_ptr<Block>> blocks;
  Pointers pointers;
  for (const Operand& x : operands) {
    blocks.push_back(std::make_unique<Block>(x, dtype));
    pointers.push_back(x.null ? nullptr : blocks.back()->data());
  }
  call(kernels, dtype, pointers);
  std::vector<Floats> read;
  for (const auto& b : blocks) read.push_back(b->read());
  return read;
}

// Whether y is within `tolerance` times the largest value beside it, and in bf16 an ulp of its own; NaN where
// that is.
inline bool close(const Floats& y, const Floats& wanted, double tolerance, bool rounded, std::string& where) {
  double largest = 0;
  for (float v : wanted)
    if (std::isfinite(v)) largest = std::max(largest, static_cast<double>(std::fabs(v)));
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double a = static_cast<double>(y[i]), b = static_cast<double>(wanted[i]);
    const double allowed = tolerance * largest + (rounded ? std::fabs(b) / 256 : 0);
    if ((std::isnan(a) && std::isnan(b)) || a == b || std::fabs(a - b) <= allowed) continue;
    where = "[" + std::to_string(i) + "] " + std::to_string(a) + ", wanted " + std::to_string(b);
    return false;
  }
  return true;
}

// Checks the emulated kernel in f32 and bf16 against the CPU's in f32 on the same (rounded) numbers. Inputs
// must stay as they were. `tolerance` is relative to the largest value; `bf16_tolerance` is for kernels that
// round to bf16 on the way, too. `device` may have another version of the kernel in its place.
inline void check_kernel(const std::vector<Operand>& operands, const Call& call, double tolerance = 2e-6,
                         double bf16_tolerance = 0, const k::Kernels& device = simt::backend()->kernels) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    std::vector<Operand> plain = operands;
    for (Operand& x : plain)
      if (!x.always_f32 && dtype == DType::bf16)
        for (float& v : x.values) v = to_f32(to_bf16(v));
    const std::vector<Floats> wanted = after(cpu::kernels(), plain, DType::f32, call);
    for (const simt::OrderKind order : orders()) {
      CAPTURE(static_cast<int>(order.kind));
      simt::set_order(order);
      const std::vector<Floats> got = after(device, operands, dtype, call);
      for (std::size_t i = 0; i < operands.size(); ++i) {
        CAPTURE(i);
        const Operand& x = operands[i];
        const bool rounded = !x.always_f32 && dtype == DType::bf16;
        std::string where;
        const bool good =
            x.output ? close(got[i], wanted[i], rounded ? std::max(tolerance, bf16_tolerance) : tolerance,
                             rounded, where)
                     : close(got[i], plain[i].values, 0, false, where);
        CHECK_MESSAGE(good, where);
      }
    }
    simt::set_order({});
  }
}

// Checks that the emulated kernel gives the same bits in every order of lanes and blocks.
inline void check_bits(const std::vector<Operand>& operands, const Call& call) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    CAPTURE(name_of(dtype));
    std::vector<Floats> first;
    for (const simt::OrderKind order : orders()) {
      CAPTURE(static_cast<int>(order.kind));
      simt::set_order(order);
      const std::vector<Floats> got = after(simt::backend()->kernels, operands, dtype, call);
      if (first.empty()) first = got;
      CHECK(got == first);
    }
    simt::set_order({});
  }
}

}  // namespace bp::testing
