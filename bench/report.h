// What a run of boxprompt-bench found, as a table and as JSON.
#pragma once
#include <nlohmann/json.hpp>
#include <ostream>

#include "bench/ceilings.h"
#include "bench/timing.h"

namespace bp::bench {

struct Row {  // one version of one op at one shape and type
  std::string op, shape, sizes, dtype, version, idea;
  enum class Status : std::uint8_t { timed, checked, wrong, left_out } status = Status::left_out;
  std::string why;  // where it was left out, or is wrong
  Work work;
  Timing time;
  double error = 0;     // see check.h
  double fraction = 0;  // of the ceiling that binds: the least time that the work can take over the time
  bool memory_bound = false;

  std::string name() const { return op + "/" + shape + "/" + dtype + "/" + version; }
};

struct NetRow {                 // a whole network, end to end
  std::string net, dtype, how;  // how: "calls", or "graph", a recorded one
  i64 batch = 1;
  Timing time;

  std::string name() const { return net + "/batch " + std::to_string(batch) + "/" + dtype + "/" + how; }
};

struct Machine {  // where and when
  std::string device, name, driver, threads, clocks, commit, date, products;
};
Machine this_machine(const Place& place);

struct Report {
  Machine machine;
  Ceilings ceilings;
  std::vector<Row> rows;
  std::vector<NetRow> nets;
  nlohmann::json profiles = nlohmann::json::array();
};

// fraction and memory_bound, from the ceilings.
void judge(Row& row, const Ceilings& ceilings);

void print_header(std::ostream& out, const Report& report);
void print_ceilings(std::ostream& out, const Report& report);
void print_row(std::ostream& out, const Row& row);
void print_net(std::ostream& out, const NetRow& row);

nlohmann::json to_json(const Report& report);
Report from_json(const nlohmann::json& json);  // Error where it is no report

void save_report(const std::string& file, const Report& report);
Report load_report(const std::string& file);
// Writes `text` whole or not at all.
void save_text(const std::string& file, const std::string& text);

// "1.23 ms", "45.6 GFLOP/s", ...: three digits and a unit.
std::string in_seconds(double seconds);
std::string in_ops(double ops_per_second);
std::string in_bytes(double bytes_per_second);

}  // namespace bp::bench
