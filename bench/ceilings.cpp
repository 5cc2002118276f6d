#include "bench/ceilings.h"

#include <algorithm>

#include "bench/ops.h"
#include "bench/timing.h"
#include "kernels/threads.h"

namespace bp::bench {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 20;

// The best of some runs: a ceiling is what was reached once.
double fastest(const Place& place, const std::function<void(i64)>& body, double expected, double budget) {
  body(0);
  return time_calls(place, body, expected, budget).best;
}

double copy_rate(const Place& place) {
  const auto from = place.allocate(kBlock), to = place.allocate(kBlock);
  const auto n = static_cast<i64>(kBlock / 4);
  place.kernels().fill({from.get(), n, 1.0f, DType::f32});
  place.kernels().fill({to.get(), n, 1.0f, DType::f32});
  const double seconds = fastest(
      place, [&](i64) { place.copy(to.get(), from.get(), kBlock); }, 1e-3, 0.5);
  return 2.0 * static_cast<double>(kBlock) / seconds;
}

// The processor's reads are a loop of their own, since our kernels do more than read.
double cpu_read(const float* x, i64 n) {
  typedef float Vector __attribute__((vector_size(64)));
  constexpr i64 kPiece = 1 << 20;
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
  const k::SquaredNorms::Item item{block.get(), n, DType::f32};
  volatile double kept = 0;
  const auto body = [&](i64) {
    if (place.is_cpu())
      kept = cpu_read(static_cast<const float*>(block.get()), n);
    else
      place.kernels().squared_norms({&item, 1, static_cast<float*>(sum.get())});
  };
  return static_cast<double>(kBlock) / fastest(place, body, 1e-3, 0.5);
}

double product_rate(const Place& place, DType dtype) {
  double best = 0;
  for (const i64 side : {4096, 8192}) {
    const Problem p = op_named("matmul").make({{side, side, side}, ""}, dtype);
    const Operands operands(place, p);
    operands.fill(random_values(p, 1));
    const Call call = p.versions(place.kernels(), nullptr).back().bind(operands.pointers());
    best = std::max(best, p.work.ops / fastest(
                                           place, [&](i64) { call(); }, 1e-3, 0.5));
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
  for (const DType t : {DType::f32, DType::bf16})
    c.peak[name_of(t)] = place.is_cpu() ? cpu_peak(t) : product_rate(place, t);
  // Types without instructions of their own are computed in f32.
  if (c.peak["bf16"] < c.peak["f32"]) c.peak["bf16"] = c.peak["f32"];
  return c;
}

Ceilings larger(Ceilings a, const Ceilings& b) {
  a.copy = std::max(a.copy, b.copy), a.read = std::max(a.read, b.read);
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
