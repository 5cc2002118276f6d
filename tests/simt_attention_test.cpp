// Attention between lists on the emulator beside the CPU's.
#include "tests/simt_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

struct Lists {
  i64 batch, heads, nq, nk, d;
  i64 gap = 0;     // elements between rows
  i64 offset = 0;  // of the inputs, from an address of 16 bytes
  float range = 2;
  bool lse = true;
};

k::Attention arguments(const Lists& s, DType dtype) {
  k::Attention a{};
  a.batch = s.batch;
  a.heads = s.heads;
  a.nq = s.nq;
  a.nk = s.nk;
  a.d = s.d;
  a.q_row = s.heads * s.d + s.gap;
  a.k_row = a.q_row + s.gap;
  a.v_row = a.q_row + 2 * s.gap;
  a.q_batch = s.nq * a.q_row;
  a.k_batch = s.nk * a.k_row;
  a.v_batch = s.nk * a.v_row;
  a.scale = 1 / std::sqrt(static_cast<float>(s.d));
  a.dtype = dtype;
  return a;
}

std::vector<Operand> inputs(const Lists& s) {
  const k::Attention a = arguments(s, DType::f32);
  const auto random = [&](i64 n, unsigned seed) {
    return shifted(input(numbers(n, seed, -s.range, s.range)), s.offset);
  };
  return {random(s.batch * a.q_batch, 1), random(s.batch * a.k_batch, 2), random(s.batch * a.v_batch, 3)};
}

Call forward(const Lists& s) {
  return [=](const k::Kernels& kernels, DType dtype, const Pointers& p) {
    k::Attention a = arguments(s, dtype);
    a.q = p[0], a.k = p[1], a.v = p[2], a.o = p[3], a.lse = static_cast<float*>(p[4]);
    kernels.attention(a);
  };
}

void check_forward(const Lists& s) {
  INFO("batch ", s.batch, " heads ", s.heads, " queries ", s.nq, " keys ", s.nk, " d ", s.d, " gap ", s.gap,
       " offset ", s.offset);
  std::vector<Operand> operands = inputs(s);
  operands.push_back(output(s.batch * s.nq * s.heads * s.d));
  operands.push_back(s.lse ? output_f32(s.batch * s.heads * s.nq) : null());
  check_kernel(operands, forward(s), 5e-6, 0x1p-8);
}

// The backward's inputs are what the CPU's forward gives for the same numbers, in the type of each run.
void check_backward(const Lists& s, std::vector<Operand> operands, double tolerance, double bf16_tolerance) {
  INFO("batch ", s.batch, " heads ", s.heads, " queries ", s.nq, " keys ", s.nk, " d ", s.d, " gap ", s.gap,
       " offset ", s.offset);
  const i64 o_size = s.batch * s.nq * s.heads * s.d, k_size = s.batch * s.nk * s.heads * s.d;
  operands.push_back(shifted(input(numbers(o_size, 4)), s.offset));
  for (const i64 n : {o_size, k_size, k_size}) operands.push_back(shifted(output(n), s.offset));
  const auto call = [&](const k::Kernels& kernels, DType dtype, const Pointers& p) {
    k::Attention a = arguments(s, dtype);
    const Block o(output(o_size), dtype), lse(output_f32(s.batch * s.heads * s.nq), dtype);
    a.q = p[0], a.k = p[1], a.v = p[2], a.o = o.data(), a.lse = static_cast<float*>(lse.data());
    cpu::kernels().attention(a);
    kernels.attention_backward({a, p[3], p[4], p[5], p[6]});
  };
  check_kernel(operands, call, tolerance, bf16_tolerance);
}
void check_backward(const Lists& s) {
  check_backward(s, inputs(s), 1e-5, 0x1p-7);
}

}  // namespace

TEST_CASE("attention of one query and one key, of odd numbers of them, and of none") {
  check_forward({1, 1, 1, 1, 16});
  check_forward({2, 2, 7, 5, 16});
  check_forward({1, 2, 67, 3, 32});
  check_forward({2, 1, 65, 129, 64});
  check_forward({1, 1, 13, 70, 80});
  check_forward({1, 1, 3, 66, 128});
  check_forward({0, 2, 7, 5, 16});
  check_forward({1, 1, 0, 5, 16});
}

TEST_CASE("attention of heads that fill no packs, of rows with gaps, at any address") {
  check_forward({1, 2, 20, 17, 7});
  check_forward({2, 2, 9, 33, 24, 8});
  check_forward({2, 1, 9, 65, 50, 3});
  check_forward({1, 3, 9, 11, 16, 0, 1});
  check_forward({1, 1, 5, 70, 32, 0, 3});
}

TEST_CASE("attention of few queries: blocks share the keys") {
  check_forward({1, 2, 7, 411, 16});
  check_forward({2, 1, 1, 300, 32});
  check_forward({1, 1, 7, 257, 33, 1});
  Lists no_lse{1, 1, 5, 150, 16};
  no_lse.lse = false;
  check_forward(no_lse);
}

TEST_CASE("parts of the keys come together in one order") {
  const Lists s{1, 2, 7, 411, 16};
  std::vector<Operand> operands = inputs(s);
  operands.push_back(output(s.nq * s.heads * s.d));
  operands.push_back(output_f32(s.heads * s.nq));
  check_bits(operands, forward(s));
}

TEST_CASE("attention of many queries: wide blocks") {
  check_forward({1, 1, 515, 70, 16});
  check_forward({1, 1, 513, 130, 32});
  check_forward({1, 1, 530, 7, 64});
  check_forward({1, 1, 512, 65, 80});
}

TEST_CASE("attention whose maximum moves from tile to tile, with logits of hundreds") {
  Lists s{1, 1, 20, 200, 32};
  s.range = 20;
  std::vector<Operand> operands = inputs(s);
  // Keys grow along the list, so that every tile has a new maximum.
  for (std::size_t i = 0; i < operands[1].values.size(); ++i)
    operands[1].values[i] *= static_cast<float>(i / 32) / 200;
  operands.push_back(output(s.nq * s.d));
  operands.push_back(output_f32(s.nq));
  check_kernel(operands, forward(s), 1e-4, 0x1p-8);
}

TEST_CASE("gradients of attention, at odd sizes") {
  check_backward({1, 1, 1, 2, 16});
  check_backward({2, 2, 7, 5, 16});
  check_backward({1, 2, 67, 3, 32});
  check_backward({1, 1, 65, 129, 64});
  check_backward({1, 1, 130, 66, 32});
  check_backward({1, 1, 13, 70, 80});
  check_backward({2, 1, 35, 34, 128});
  check_backward({1, 2, 0, 5, 16});
}

TEST_CASE("gradients of attention of heads that fill no packs, of rows with gaps, at any address") {
  check_backward({1, 2, 20, 17, 7});
  check_backward({2, 2, 9, 33, 24, 8});
  check_backward({2, 1, 9, 65, 50, 3});
  check_backward({1, 2, 9, 11, 32, 0, 1});
}

TEST_CASE(
    "gradients of attention whose logits are all far below zero: what is beyond the last key stays out") {
  const Lists s{1, 1, 3, 5, 16};
  std::vector<Operand> operands = inputs(s);
  for (std::size_t i = 0; i < operands[0].values.size(); i += 16) operands[0].values[i] = 32;
  for (std::size_t i = 0; i < operands[1].values.size(); i += 16) operands[1].values[i] = -32;
  // Column 0 of dq is nothing but 32 times the rounding of o and lse.
  check_backward(s, operands, 1e-3, 0x1p-2);
}
