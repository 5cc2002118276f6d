#include "bench/check.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bp::bench {

double error_of(const std::vector<float>& got, const std::vector<float>& wanted) {
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double a = static_cast<double>(got[i]), b = static_cast<double>(wanted[i]);
    if (std::isfinite(b)) largest = std::max(largest, std::fabs(b));
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::quiet_NaN();
    difference = std::max(difference, std::fabs(a - b));
  }
  return largest > 0 ? difference / largest : difference;
}

Checker::Checker(const Place& place, const Problem& problem, const Problem& in_f32)
    : place_(place),
      problem_(problem),
      in_f32_(in_f32),
      values_(random_values(problem, 1)),
      operands_(place, problem) {}

const std::vector<std::vector<float>>& Checker::wanted() {
  if (!wanted_.empty()) return wanted_;
  const Place cpu{Device{}};
  const Operands there(cpu, in_f32_);
  there.fill(values_);
  in_f32_.versions(cpu.kernels(), nullptr).back().bind(there.pointers())();
  wanted_.resize(problem_.operands.size());
  for (std::size_t i = 0; i < wanted_.size(); ++i)
    if (problem_.operands[i].role != Role::in) wanted_[i] = there.read(i);
  return wanted_;
}

double Checker::error(const Version& version) {
  const Call call = version.bind(operands_.pointers());
  operands_.fill(values_);
  place_.synchronize();
  void* begin = place_.mark();
  call();
  seconds_ = place_.seconds(begin, place_.mark());
  double worst = 0;
  for (std::size_t i = 0; i < problem_.operands.size(); ++i) {
    if (wanted()[i].empty()) continue;
    const double error = error_of(operands_.read(i), wanted_[i]);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  return worst;
}

}  // namespace bp::bench
