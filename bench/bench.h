// Checks and times versions of ops.
#pragma once
#include "bench/check.h"
#include "bench/ops.h"
#include "bench/report.h"

namespace bp::bench {

struct Selection {
  std::vector<std::string> ops, shapes, dtypes, versions;  // each "all", or names
};

struct Case {
  const Op* op;
  NamedShape shape;
  DType dtype;
  std::string version, idea;
};

// From "f32", "bf16", or "all" alone.
std::vector<DType> dtypes_of(const std::vector<std::string>& names);

// Every combination that there is on the device, in order. Error where a name is unknown: a shape may be one
// of some of the ops only, a version, too ("3" stands for "3_..." of any ladder, "ladder" for all rungs).
std::vector<Case> cases_of(const Selection& wanted, const Place& place);

struct Effort {
  bool check_only = false;  // also on the emulator, whose time says nothing
  double seconds = 0.5;     // of timing per version
  double limit = 10;        // versions whose call would take longer are not timed
};

class Bench {
 public:
  Bench(const Place& place, const Effort& effort) : place_(place), effort_(effort) {}
  // The ceilings may be raised by what is found.
  Row run(const Case& c, Ceilings& ceilings);

 private:
  struct Stage;  // operands and references, shared by the versions of one problem
  Stage& stage(const Case& c);
  void check_and_time(Row& row, const Case& c, Ceilings& ceilings);
  void time(Row& row, const Version& version, Stage& stage);

  const Place& place_;
  Effort effort_;
  std::shared_ptr<Stage> stage_;
};

}  // namespace bp::bench
