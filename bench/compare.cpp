#include "bench/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

namespace bp::bench {
namespace {

constexpr double kLeastNoise = 0.02, kUnknownNoise = 0.1;
constexpr double kQuantilesApart = 2.563;  // of 10 % and 90 %, in standard deviations

double deviation(const Timing& t) {
  if (t.repetitions < 5) return kUnknownNoise / 2;
  return (t.p90 - t.p10) / kQuantilesApart / t.median;
}

using Times = std::map<std::string, Timing>;

Times times(const Report& report) {
  Times all;
  for (const Row& r : report.rows)
    if (r.status == Row::Status::timed) all[r.name()] = r.time;
  for (const NetRow& n : report.nets) all[n.name()] = n.time;
  return all;
}

}  // namespace

Change change(const Timing& before, const Timing& after) {
  Change c{.ratio = after.median / before.median,
           .noise = std::max(kLeastNoise, 2 * std::hypot(deviation(before), deviation(after))),
           .verdict = Verdict::same};
  if (c.ratio > 1 + c.noise) c.verdict = Verdict::slower;
  if (c.ratio < 1 / (1 + c.noise)) c.verdict = Verdict::faster;
  return c;
}

void print_comparison(std::ostream& out, const Report& before, const Report& after) {
  const auto about = [](const Report& r) {
    return r.machine.name + ", " + r.machine.device + ", commit " + r.machine.commit + ", " + r.machine.date;
  };
  out << "before: " << about(before) << "\nafter:  " << about(after) << '\n';
  if (before.machine.name != after.machine.name) out << "these are different machines\n";

  const Times old = times(before), now = times(after);
  int counts[3] = {};
  for (const auto& [name, time] : now) {
    const auto it = old.find(name);
    if (it == old.end()) continue;
    const Change c = change(it->second, time);
    ++counts[static_cast<int>(c.verdict)];
    char line[256];
    const bool slower = c.ratio > 1;
    std::snprintf(line, sizeof line, "%-64s %9s -> %9s  %s (%.2fx %s, noise %.0f %%)", name.c_str(),
                  in_seconds(it->second.median).c_str(), in_seconds(time.median).c_str(),
                  c.verdict == Verdict::same     ? "same  "
                  : c.verdict == Verdict::faster ? "FASTER"
                                                 : "SLOWER",
                  slower ? c.ratio : 1 / c.ratio, slower ? "slower" : "faster", 100 * c.noise);
    out << line << '\n';
  }
  for (const auto& [name, time] : old)
    if (!now.count(name)) out << name << ": only before\n";
  for (const auto& [name, time] : now)
    if (!old.count(name)) out << name << ": only after\n";
  out << counts[0] << " the same, " << counts[1] << " faster, " << counts[2] << " slower\n";
}

}  // namespace bp::bench
