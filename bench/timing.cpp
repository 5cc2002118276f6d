#include "bench/timing.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace bp::bench {
namespace {

constexpr int kMostRepetitions = 200, kMostCalls = 64, kMostCopies = 64;
// What a repetition should last at least, beside the resolution of a clock (50 ns) or of events (500 ns) and
// the start of a parallel region.
constexpr double kCpuRepetition = 100e-6, kGpuRepetition = 200e-6;

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Timing statistics(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {quantile(seconds, 0.5), quantile(seconds, 0.1),           quantile(seconds, 0.9),
          seconds.front(),        static_cast<int>(seconds.size()), 1};
}

int copies_for(const Place& place, double bytes) {
  const double wanted = std::ceil(3 * place.cache_bytes() / std::max(1.0, bytes)) + 1;
  const double fit = std::floor(place.memory_bytes() / 4 / std::max(1.0, bytes));
  return static_cast<int>(std::clamp(std::min(wanted, fit), 1.0, 1.0 * kMostCopies));
}

Timing time_calls(const Place& place, const std::function<void(i64)>& body, double expected, double budget,
                  Caches caches) {
  using Clock = std::chrono::steady_clock;
  const double least = place.is_cpu() ? kCpuRepetition : kGpuRepetition;
  const int calls = static_cast<int>(std::clamp(std::ceil(least / expected), 1.0, 1.0 * kMostCalls));
  const auto begin = Clock::now();
  std::vector<double> seconds;
  const auto spent = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  i64 next = 0;
  while (seconds.empty() || (static_cast<int>(seconds.size()) < kMostRepetitions && spent() < budget)) {
    if (caches == Caches::scrubbed) place.scrub();
    void* from = place.mark();
    for (int i = 0; i < calls; ++i) body(next++);
    seconds.push_back(place.seconds(from, place.mark()) / calls);
  }
  Timing t = statistics(std::move(seconds));
  t.calls = calls;
  return t;
}

}  // namespace bp::bench
