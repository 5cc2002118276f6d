#include "bench/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "engine/error.h"

namespace bp::bench {
namespace {

using nlohmann::json;

std::string format(const char* as, double x) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), as, x);
  return text.data();
}

std::string with_unit(double x, std::initializer_list<std::pair<double, const char*>> units) {
  auto unit = units.begin();
  while (unit + 1 != units.end() && x < unit->first) ++unit;
  const double y = x / unit->first;
  return format(y >= 99.95 ? "%.0f" : y >= 9.995 ? "%.1f" : "%.2f", y) + " " + unit->second;
}

std::string padded(const std::string& text, std::size_t width, bool right = false) {
  const std::string space(text.size() < width ? width - text.size() : 0, ' ');
  return right ? space + text : text + space;
}

constexpr std::array<const char*, 4> kStatus{"timed", "checked", "wrong", "left out"};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string now() {
  const std::time_t t = std::time(nullptr);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&t));
  return text.data();
}

// As the system says it now; empty where it does not.
std::string cpu_clock() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("cpu MHz")) return line.substr(line.find(':') + 2) + " MHz";
  return "";
}

double number(const json& j) {
  return j.is_null() ? std::nan("") : j.get<double>();
}

json to_json(const Timing& t) {
  return {{"seconds", t.median},          {"p10", t.p10},    {"p90", t.p90}, {"best", t.best},
          {"repetitions", t.repetitions}, {"calls", t.calls}};
}
Timing timing_from(const json& j) {
  return {j.at("seconds"), j.at("p10"), j.at("p90"), j.at("best"), j.at("repetitions"), j.at("calls")};
}

json to_json(const Row& r) {
  json j{
      {"op", r.op},        {"shape", r.shape},      {"sizes", r.sizes},
      {"dtype", r.dtype},  {"version", r.version},  {"idea", r.idea},
      {"ops", r.work.ops}, {"bytes", r.work.bytes}, {"status", kStatus[static_cast<std::size_t>(r.status)]}};
  if (!r.why.empty()) j["why"] = r.why;
  if (r.status != Row::Status::left_out) j["error"] = r.error;
  if (r.status != Row::Status::timed) return j;
  j["time"] = to_json(r.time);
  j["gb_per_s"] = 1e-9 * r.work.bytes / r.time.median;
  j["gflop_per_s"] = 1e-9 * r.work.ops / r.time.median;
  j["fraction_of_ceiling"] = r.fraction;
  j["bound_by"] = r.memory_bound ? "memory" : "arithmetic";
  return j;
}

Row row_from(const json& j) {
  Row r;
  r.op = j.at("op"), r.shape = j.at("shape"), r.sizes = j.at("sizes"), r.dtype = j.at("dtype");
  r.version = j.at("version"), r.idea = j.at("idea"), r.why = j.value("why", "");
  r.work = {j.at("ops"), j.at("bytes")};
  const auto status = std::find(kStatus.begin(), kStatus.end(), j.at("status").get<std::string>());
  require(status != kStatus.end(), "unknown status ", j.at("status").dump());
  r.status = static_cast<Row::Status>(status - kStatus.begin());
  if (j.contains("error")) r.error = number(j.at("error"));
  if (r.status != Row::Status::timed) return r;
  r.time = timing_from(j.at("time"));
  r.fraction = j.at("fraction_of_ceiling"), r.memory_bound = j.at("bound_by") == "memory";
  return r;
}

}  // namespace

std::string in_seconds(double s) {
  return with_unit(s, {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}});
}
std::string in_ops(double r) {
  return with_unit(r, {{1e12, "TFLOP/s"}, {1e9, "GFLOP/s"}, {1e6, "MFLOP/s"}});
}
std::string in_bytes(double r) {
  return with_unit(r, {{1e12, "TB/s"}, {1e9, "GB/s"}, {1e6, "MB/s"}});
}

Machine this_machine(const Place& place) {
  Machine m;
  m.device = text(place.device()), m.name = place.name(), m.date = now();
  m.commit = environment("BOXPROMPT_COMMIT");
  if (m.commit.empty()) m.commit = BOXPROMPT_COMMIT;
  const CpuInfo cpu = cpu_info();
  if (place.is_cpu()) {
    m.driver = "kernels " + cpu.level, m.threads = std::to_string(cpu.threads), m.clocks = cpu_clock();
  } else {
    const k::DeviceInfo info = device_info(place.device());
    m.driver = text("driver ", info.driver, ", runtime ", info.runtime);
    m.products = environment("BOXPROMPT_CUDA_PRODUCTS") == "own" ? "own" : "library";
  }
  return m;
}

void judge(Row& row, const Ceilings& c) {
  if (row.status != Row::Status::timed) return;
  const DType t = row.dtype == "bf16" ? DType::bf16 : DType::f32;
  row.fraction = c.floor(row.work, t) / row.time.median;
  row.memory_bound = c.bound_by_memory(row.work, t);
}

void print_header(std::ostream& out, const Report& r) {
  out << r.machine.name << " (" << r.machine.device << ", " << r.machine.driver
      << (r.machine.threads.empty() ? "" : ", threads " + r.machine.threads) << "), commit "
      << r.machine.commit << ", " << r.machine.date << '\n';
  if (r.ceilings.copy > 0) print_ceilings(out, r);
}

void print_ceilings(std::ostream& out, const Report& r) {
  out << "ceilings: copy " << in_bytes(r.ceilings.copy) << ", read " << in_bytes(r.ceilings.read)
      << ", update " << in_bytes(r.ceilings.update);
  for (const auto& [type, rate] : r.ceilings.peak) out << ", " << type << " " << in_ops(rate);
  out << '\n';
}

void print_row(std::ostream& out, const Row& r) {
  out << padded(r.op, 18) << ' ' << padded(r.shape, 22) << ' ' << padded(r.dtype, 4) << ' '
      << padded(r.version, 22) << ' ';
  if (r.status == Row::Status::timed) {
    const double spread = (r.time.p90 - r.time.p10) / 2 / r.time.median;
    const std::string around = r.time.repetitions > 1 ? " +-" + format("%.0f %%", 100 * spread) : " (once)";
    out << padded(in_seconds(r.time.median), 9, true) << padded(around, 9)
        << padded(in_bytes(r.work.bytes / r.time.median), 10, true)
        << padded(in_ops(r.work.ops / r.time.median), 14, true)
        << padded(format("%.1f %%", 100 * r.fraction), 8, true)
        << (r.memory_bound ? " of memory    " : " of arithmetic") << "  error " << format("%.1e", r.error)
        << '\n';
  } else if (r.status == Row::Status::checked) {
    out << "right, error " << format("%.1e", r.error) << (r.why.empty() ? "" : "; " + r.why) << '\n';
  } else {
    out << (r.status == Row::Status::wrong ? "WRONG: " : "left out: ") << r.why << '\n';
  }
  out.flush();
}

void print_net(std::ostream& out, const NetRow& r) {
  out << padded(r.net, 12) << " batch " << r.batch << ' ' << r.dtype << ", by " << r.how << ": "
      << in_seconds(r.time.median) << " (" << in_seconds(r.time.p10) << " to " << in_seconds(r.time.p90)
      << "), " << format("%.1f", static_cast<double>(r.batch) / r.time.median) << " images/s\n";
}

json to_json(const Report& r) {
  const Machine& m = r.machine;
  json j{{"boxprompt_bench", 1},  {"date", m.date},        {"commit", m.commit},
         {"device", m.device},    {"name", m.name},        {"driver", m.driver},
         {"threads", m.threads},  {"clocks", m.clocks},    {"products", m.products},
         {"rows", json::array()}, {"nets", json::array()}, {"profiles", r.profiles}};
  json& c = j["ceilings"] = {{"copy_gb_per_s", 1e-9 * r.ceilings.copy},
                             {"read_gb_per_s", 1e-9 * r.ceilings.read},
                             {"update_gb_per_s", 1e-9 * r.ceilings.update}};
  for (const auto& [type, rate] : r.ceilings.peak) c["peak_gflop_per_s"][type] = 1e-9 * rate;
  for (const Row& row : r.rows) j["rows"].push_back(to_json(row));
  for (const NetRow& n : r.nets)
    j["nets"].push_back(
        {{"net", n.net}, {"dtype", n.dtype}, {"how", n.how}, {"batch", n.batch}, {"time", to_json(n.time)}});
  return j;
}

Report from_json(const json& j) {
  Report r;
  try {
    require(j.at("boxprompt_bench") == 1, "another version of the format");
    r.machine = {j.at("device"), j.at("name"),   j.at("driver"), j.at("threads"),
                 j.at("clocks"), j.at("commit"), j.at("date"),   j.at("products")};
    const json& c = j.at("ceilings");
    r.ceilings.copy = 1e9 * c.at("copy_gb_per_s").get<double>();
    r.ceilings.read = 1e9 * c.at("read_gb_per_s").get<double>();
    r.ceilings.update = 1e9 * c.at("update_gb_per_s").get<double>();
    if (c.contains("peak_gflop_per_s"))
      for (const auto& [type, rate] : c.at("peak_gflop_per_s").items())
        r.ceilings.peak[type] = 1e9 * rate.get<double>();
    for (const json& row : j.at("rows")) r.rows.push_back(row_from(row));
    for (const json& n : j.at("nets"))
      r.nets.push_back({n.at("net"), n.at("dtype"), n.at("how"), n.at("batch"), timing_from(n.at("time"))});
    r.profiles = j.at("profiles");
  } catch (const json::exception& e) {
    fail("no report of boxprompt-bench: ", e.what());
  }
  return r;
}

void save_text(const std::string& file, const std::string& text) {
  const std::string part = file + ".part";
  std::ofstream out(part, std::ios::binary);
  out << text;
  out.close();
  require(static_cast<bool>(out), file, ": cannot write");
  std::error_code error;
  std::filesystem::rename(part, file, error);
  require(!error, file, ": ", error.message());
}

void save_report(const std::string& file, const Report& report) {
  save_text(file, to_json(report).dump(1) + "\n");
}

Report load_report(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  require(static_cast<bool>(in), file, ": cannot read");
  try {
    return from_json(json::parse(in));
  } catch (const json::exception&) {
    fail(file, ": no JSON");
  } catch (const Error& e) {
    fail(file, ": ", e.what());
  }
}

}  // namespace bp::bench
