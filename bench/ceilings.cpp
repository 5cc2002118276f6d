#include "bench/ceilings.h"

#include <algorithm>

#include "bench/ops.h"
#include "bench/timing.h"
#include "kernels/threads.h"

namespace bp::bench {
namespace {

constexpr std::size_t kBlock = std::size_t{512} << 20;

// What is copied or read at once. On the processor a part of the block, another each time: on a machine with
// other work the best of many short runs was left alone, which no long one is.
std::size_t piece_bytes(const Place& place) {
  return place.is_cpu() ? std::size_t{16} << 20 : kBlock;
}
std::size_t piece_at(i64 i, std::size_t piece) {
  return static_cast<std::size_t>(i) % (kBlock / piece) * piece;
}

// The best of some runs: a ceiling is what was reached once.
double fastest(const Place& place, const std::function<void(i64)>& body) {
  constexpr double kExpected = 1e-3, kBudget = 0.5;
  body(0);
  return time_calls(place, body, kExpected, kBudget, Caches::as_they_are).best;
}

double copy_rate(const Place& place) {
  const auto from = place.allocate(kBlock), to = place.allocate(kBlock);
  const auto n = static_cast<i64>(kBlock / 4);
  place.kernels().fill({from.get(), n, 1.0f, DType::f32});
  place.kernels().fill({to.get(), n, 1.0f, DType::f32});
  const std::size_t piece = piece_bytes(place);
  const auto body = [&](i64 i) {
    const std::size_t at = piece_at(i, piece);
    place.copy(static_cast<char*>(to.get()) + at, static_cast<const char*>(from.get()) + at, piece);
  };
  return 2.0 * static_cast<double>(piece) / fastest(place, body);
}

// The processor's reads are a loop of their own, since our kernels do more than read.
double cpu_read(const float* x, i64 n) {
  typedef float Vector __attribute__((vector_size(64)));
  constexpr i64 kPiece = 1 << 18;
  std::vector<double> sums(static_cast<std::size_t>((n + kPiece - 1) / kPiece));
  parallel_for(n, kPiece, [&](i64 begin, i64 end) {
    Vector s[4] = {};
    for (i64 i = begin; i + 64 <= end; i += 64)
      for (int j = 0; j < 4; ++j) s[j] += *reinterpret_cast<const Vector*>(x + i + 16 * j);
    const Vector all = (s[0] + s[1]) + (s[2] + s[3]);
    sums[static_cast<std::size_t>(begin / kPiece)] = static_cast<double>(all[0] + all[15]);
  });
  return sums[0];
}

double read_rate(const Place& place) {
  const auto block = place.allocate(kBlock), sum = place.allocate(64);
  const auto n = static_cast<i64>(kBlock / 4);
  place.kernels().fill({block.get(), n, 1.0f, DType::f32});
  const std::size_t piece = piece_bytes(place);
  const auto length = static_cast<i64>(piece / 4);
  volatile double kept = 0;
  const auto body = [&](i64 i) {
    const float* x = static_cast<const float*>(block.get()) + piece_at(i, piece) / 4;
    const k::SquaredNorms::Item item{x, length, DType::f32};
    if (place.is_cpu())
      kept = cpu_read(x, length);
    else
      place.kernels().squared_norms({&item, 1, static_cast<float*>(sum.get())});
  };
  return static_cast<double>(piece) / fastest(place, body);
}

double update_rate(const Place& place) {
  const auto block = place.allocate(kBlock);
  place.kernels().fill({block.get(), static_cast<i64>(kBlock / 4), 1.0f, DType::f32});
  const std::size_t piece = piece_bytes(place);
  const auto body = [&](i64 i) {
    char* x = static_cast<char*>(block.get()) + piece_at(i, piece);
    place.kernels().unary({k::UnaryOp::affine, x, x, static_cast<i64>(piece / 4), DType::f32, 1.0f, 1.0f});
  };
  return 2.0 * static_cast<double>(piece) / fastest(place, body);
}

double product_rate(const Place& place, DType dtype) {
  double best = 0;
  for (const i64 side : {4096, 8192}) {
    const Problem p = op_named("matmul").make({{side, side, side}, ""}, dtype);
    const Operands operands(place, p);
    operands.fill(random_values(p, 1));
    const Call call = p.versions(place.kernels(), nullptr).back().bind(operands.pointers());
    best = std::max(best, p.work.ops / fastest(place, [&](i64) { call(); }));
  }
  return best;
}

}  // namespace

double Ceilings::floor(const Work& work, DType dtype) const {
  return std::max(work.ops / peak.at(name_of(dtype)), work.bytes / bandwidth());
}
bool Ceilings::bound_by_memory(const Work& work, DType dtype) const {
  return work.bytes / bandwidth() >= work.ops / peak.at(name_of(dtype));
}

Ceilings measure_ceilings(const Place& place) {
  Ceilings c;
  c.copy = copy_rate(place);
  c.read = read_rate(place);
  c.update = update_rate(place);
  for (const DType t : {DType::f32, DType::bf16})
    c.peak[name_of(t)] = place.is_cpu() ? cpu_peak(t) : product_rate(place, t);
  // Types without instructions of their own are computed in f32.
  if (c.peak["bf16"] < c.peak["f32"]) c.peak["bf16"] = c.peak["f32"];
  return c;
}

Ceilings larger(Ceilings a, const Ceilings& b) {
  a.copy = std::max(a.copy, b.copy), a.read = std::max(a.read, b.read);
  a.update = std::max(a.update, b.update);
  for (const auto& [type, rate] : b.peak) a.peak[type] = std::max(a.peak[type], rate);
  return a;
}

bool raise(Ceilings& ceilings, const Place& place, DType dtype, double ops_per_second) {
  double& peak = ceilings.peak.at(name_of(dtype));
  if (place.is_cpu() || ops_per_second <= peak) return false;
  peak = ops_per_second;
  return true;
}

}  // namespace bp::bench
