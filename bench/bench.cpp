#include "bench/bench.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace bp::bench {
namespace {

// Of the first check, on a smaller problem: a naive version takes 0.1 s for it, or the emulator a second.
constexpr double kSliceOps = 1e8, kEmulatedOps = 1e7;
// What the emulator shall do at most where a version takes nothing smaller.
constexpr double kMostEmulatedOps = 3e8;

bool is_all(const std::vector<std::string>& names) {
  return names == std::vector<std::string>{"all"};
}

bool selects(const std::vector<std::string>& wanted, const std::string& version) {
  if (is_all(wanted)) return true;
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) {
    return w == version || (w == "ladder" && version != "engine") || version.starts_with(w + "_");
  });
}

std::vector<Version> versions_of(const Problem& p, const Place& place) {
  return p.versions(place.kernels(), place.ladders());
}

Version version_of(const Problem& p, const Place& place, const std::string& name) {
  for (Version& v : versions_of(p, place))
    if (v.name == name) return std::move(v);
  fail("no version ", name);
}

// Asked with addresses that are as aligned as an allocation's, and stand for no memory.
bool takes(const Version& version, const Problem& p) {
  static char somewhere alignas(256)[256];
  return version.bind(Pointers(p.operands.size(), somewhere)) != nullptr;
}

std::vector<NamedShape> shapes_of(const Op& op, const std::vector<std::string>& wanted, bool only_op) {
  if (is_all(wanted)) return op.shapes;
  std::vector<NamedShape> found;
  for (const std::string& name : wanted) {
    const bool known =
        std::any_of(op.shapes.begin(), op.shapes.end(), [&](const auto& s) { return s.name == name; });
    if (name == "main")
      found.push_back(op.shapes.front());
    else if (known || only_op)  // with one op the error can say what that op wants
      found.push_back(shape_of(op, name));
  }
  return found;
}

}  // namespace

std::vector<DType> dtypes_of(const std::vector<std::string>& names) {
  if (is_all(names)) return {DType::f32, DType::bf16};
  std::vector<DType> dtypes;
  for (const std::string& name : names) {
    require(name == "f32" || name == "bf16", "--dtype ", name, ": wanted f32, bf16 or all");
    dtypes.push_back(name == "bf16" ? DType::bf16 : DType::f32);
  }
  return dtypes;
}

std::vector<Case> cases_of(const Selection& wanted, const Place& place) {
  std::vector<const Op*> ops;
  if (is_all(wanted.ops))
    for (const Op& op : all_ops()) ops.push_back(&op);
  else
    for (const std::string& name : wanted.ops) ops.push_back(&op_named(name));
  const std::vector<DType> dtypes = dtypes_of(wanted.dtypes);
  std::vector<Case> cases;
  std::vector<std::string> known;
  bool any_shape = false;
  for (const Op* op : ops)
    for (const NamedShape& shape : shapes_of(*op, wanted.shapes, ops.size() == 1))
      for (const DType t : dtypes) {
        any_shape = true;
        for (const Version& v : versions_of(op->make(shape.sizes, t), place)) {
          if (selects(wanted.versions, v.name)) cases.push_back({op, shape, t, v.name, v.idea});
          if (std::find(known.begin(), known.end(), v.name) == known.end()) known.push_back(v.name);
        }
      }
  require(any_shape, "--shape ", join(wanted.shapes, ","), ": no shape of these ops; see --list");
  require(!cases.empty(), "--version ", join(wanted.versions, ","), ": unknown on ", place.device(),
          ", known: ", join(known, ", "));
  return cases;
}

struct Bench::Stage {
  std::string name;
  Problem problem, slice;
  std::unique_ptr<Checker> whole, part;  // part: of the slice
  bool cut = false;
  std::vector<std::unique_ptr<Operands>> copies;
};

Bench::Stage& Bench::stage(const Case& c) {
  const std::string name = text(c.op->name, '/', c.shape.name, '/', name_of(c.dtype));
  if (stage_ && stage_->name == name) return *stage_;
  stage_ = nullptr;  // its memory first
  const Sizes sizes = cut_to(*c.op, c.shape.sizes, place_.emulated() ? kEmulatedOps : kSliceOps);
  auto made = std::make_shared<Stage>();
  made->name = name;
  made->problem = c.op->make(c.shape.sizes, c.dtype);
  made->slice = c.op->make(sizes, c.dtype);
  made->cut = !(sizes == c.shape.sizes);
  made->part = std::make_unique<Checker>(place_, made->slice, c.op->in_f32(sizes, c.dtype));
  stage_ = std::move(made);
  return *stage_;
}

Row Bench::run(const Case& c, Ceilings& ceilings) {
  Row row{.op = c.op->name,
          .shape = c.shape.name,
          .sizes = to_text(c.shape.sizes),
          .dtype = name_of(c.dtype),
          .version = c.version,
          .idea = c.idea,
          .why = {},
          .work = {},
          .time = {}};
  try {
    check_and_time(row, c, ceilings);
  } catch (const Error& e) {  // of ours: no memory
    row.status = Row::Status::left_out, row.why = e.what();
    stage_ = nullptr;
  } catch (const std::exception& e) {  // of the version
    row.status = Row::Status::wrong, row.why = e.what();
    stage_ = nullptr;
  }
  return row;
}

void Bench::check_and_time(Row& row, const Case& c, Ceilings& ceilings) {
  Stage& s = stage(c);
  row.work = s.problem.work;
  const Version version = version_of(s.problem, place_, c.version);
  if (!takes(version, s.problem)) {
    row.why = "it does not take this";
    return;
  }
  const auto right = [&](double error) {
    row.error = error;
    row.status = error <= allowed_error(c.dtype) ? Row::Status::checked : Row::Status::wrong;
    if (row.status == Row::Status::wrong)
      row.why = text("error ", error, ", allowed is ", allowed_error(c.dtype));
    return row.status == Row::Status::checked;
  };

  const Version of_slice = version_of(s.slice, place_, c.version);
  double expected = 0;
  if (takes(of_slice, s.slice)) {
    if (!right(s.part->error(of_slice))) return;
    s.part->error(of_slice);  // the first run prepares itself
    expected = s.part->seconds() *
               std::max(s.problem.work.ops / s.slice.work.ops, s.problem.work.bytes / s.slice.work.bytes);
    if (place_.emulated() || (effort_.check_only && s.cut && expected > effort_.limit)) {
      if (s.cut) row.why = "on a smaller shape";
      return;
    }
  } else if (place_.emulated() && s.problem.work.ops > kMostEmulatedOps) {
    row.why = "it takes no shape that is small enough for the emulator";
    return;
  }
  if (expected > effort_.limit) {
    row.status = Row::Status::left_out;
    row.why = text("about ", in_seconds(expected), " a call; --limit ", std::ceil(expected), " times it");
    return;
  }
  if (!s.whole) s.whole = std::make_unique<Checker>(place_, s.problem, c.op->in_f32(c.shape.sizes, c.dtype));
  if (!right(s.whole->error(version)) || effort_.check_only || place_.emulated()) return;
  time(row, version, s);
  if (row.op == "matmul") raise(ceilings, place_, c.dtype, row.work.ops / row.time.median);
  judge(row, ceilings);
  return;
}

void Bench::time(Row& row, const Version& version, Stage& s) {
  const auto wanted = static_cast<std::size_t>(copies_for(place_, s.problem.bytes()));
  while (s.copies.size() + 1 < wanted) {
    s.copies.push_back(std::make_unique<Operands>(place_, s.problem));
    s.copies.back()->fill(s.whole->values());
  }
  s.whole->operands().fill(s.whole->values());
  std::vector<Call> calls{version.bind(s.whole->operands().pointers())};
  for (const auto& copy : s.copies) calls.push_back(version.bind(copy->pointers()));
  const auto body = [&](i64 i) { calls[static_cast<std::size_t>(i) % calls.size()](); };
  double expected = s.whole->seconds();
  if (expected < effort_.seconds) {  // one call more, since the first may have prepared itself
    void* begin = place_.mark();
    body(0);
    expected = std::min(expected, place_.seconds(begin, place_.mark()));
  }
  row.time = time_calls(place_, body, expected, effort_.seconds);
  row.status = Row::Status::timed;
}

}  // namespace bp::bench
