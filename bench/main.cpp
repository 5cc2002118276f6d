// boxprompt-bench: see usage below. Cases are registered with Google Benchmark, whose own options work, too.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "bench/bench.h"
#include "bench/compare.h"
#include "bench/list.h"
#include "bench/net.h"
#include "bench/roofline.h"
#include "engine/error.h"
#include "kernels/threads.h"

namespace bp::bench {
namespace {

struct Options {
  std::string ops = "all", shapes = "all", dtypes = "f32", versions = "all", device = "cpu", json, roofline,
              nets, flame;
  std::vector<std::string> compare;
  i64 batch = 0;
  Effort effort;
  bool list = false;
  int threads = 0;
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("--op", o.ops, "ops, separated by commas, or all")->capture_default_str();
  app.add_option("--shape", o.shapes,
                 "shapes by name, or sizes as in 4096x2304x768; main: the first of each op")
      ->capture_default_str();
  app.add_option("--dtype", o.dtypes, "f32, bf16 or all")->capture_default_str();
  app.add_option("--version", o.versions,
                 "versions: engine (the kernel in use), ladder, a rung's name or number, or all")
      ->capture_default_str();
  app.add_option("--device", o.device,
                 "cpu, cuda, cuda:N, or simt (checks only: an emulator's time says nothing)")
      ->capture_default_str();
  app.add_option("--threads", o.threads, "CPU threads, 0 for all cores this process may use")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--seconds", o.effort.seconds, "timing per version")
      ->check(CLI::Range(1e-3, 1e3))
      ->capture_default_str();
  app.add_option("--limit", o.effort.limit, "seconds; versions whose call would take longer are left out")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--check-only", o.effort.check_only, "check the versions against the reference, time nothing");
  app.add_flag("--list", o.list, "list ops, shapes, versions and devices");
  app.add_option("--json", o.json, "also write what was found to this file");
  app.add_option("--roofline", o.roofline, "also draw every kernel under the ceilings, as an SVG");
  app.add_option("--compare", o.compare,
                 "two files of --json: what became faster, with the noise taken into account")
      ->expected(2)
      ->type_name("BEFORE AFTER");
  app.add_option("--net", o.nets,
                 "where the time of whole networks goes, layer by layer: " + join(net_names(), ", "));
  app.add_option("--batch", o.batch, "of --net; 0: 1, and 16 for train")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  app.add_option("--flame", o.flame, "also draw the time of --net by part and kernel, as an SVG");
}

// Prints each row when it is there.
class Lines : public benchmark::BenchmarkReporter {
 public:
  explicit Lines(const Report& report) : report_(report) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {
    for (; printed_ < report_.rows.size(); ++printed_) print_row(std::cout, report_.rows[printed_]);
  }

 private:
  const Report& report_;
  std::size_t printed_ = 0;
};

void tell(benchmark::State& state, const Row& row) {
  if (row.status == Row::Status::wrong || row.status == Row::Status::left_out) {
    state.SkipWithError(row.why.c_str());
    return;
  }
  for (auto _ : state) state.SetIterationTime(row.time.median);
  if (row.status != Row::Status::timed) return;
  state.counters["GB/s"] = 1e-9 * row.work.bytes / row.time.median;
  state.counters["GFLOP/s"] = 1e-9 * row.work.ops / row.time.median;
  state.counters["of_ceiling"] = row.fraction;
}

// Google Benchmark's own options are taken out of the arguments; its list begins with the program's name.
std::vector<std::string> take_benchmark_options(std::vector<std::string>& arguments) {
  std::vector<std::string> taken{"boxprompt-bench"}, kept;
  for (const std::string& a : arguments) (a.starts_with("--benchmark_") ? taken : kept).push_back(a);
  arguments = kept;
  return taken;
}

int run_cases(const Options& o, std::vector<std::string> for_benchmark) {
  const Place place(parse_device(o.device));
  const std::vector<Case> cases =
      cases_of({split(o.ops), split(o.shapes), split(o.dtypes), split(o.versions)}, place);
  Report report;
  Bench bench(place, o.effort);
  for (const Case& c : cases) {
    const std::string name = text(c.op->name, '/', c.shape.name, '/', name_of(c.dtype), '/', c.version);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [&, c](benchmark::State& state) {
                                   report.rows.push_back(bench.run(c, report.ceilings));
                                   tell(state, report.rows.back());
                                 })
        ->Iterations(1)
        ->UseManualTime();
  }
  bool own_lines = true, only_names = false;
  std::vector<char*> arguments;
  for (std::string& a : for_benchmark) {
    own_lines = own_lines && !a.starts_with("--benchmark_format");
    only_names = only_names || a.starts_with("--benchmark_list_tests");
    arguments.push_back(a.data());
  }
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;

  report.machine = this_machine(place);
  if (!only_names && !o.effort.check_only && !place.emulated()) report.ceilings = measure_ceilings(place);
  if (own_lines && !only_names) print_header(std::cout, report);
  Lines lines(report);
  const std::size_t ran = benchmark::RunSpecifiedBenchmarks(own_lines && !only_names ? &lines : nullptr);
  if (only_names) return 0;
  if (ran == 0) return 2;
  if (report.ceilings.copy > 0) {
    // Once more, since others may have used the machine the first time; all rows are judged alike.
    report.ceilings = larger(report.ceilings, measure_ceilings(place));
    if (own_lines) print_ceilings(std::cout, report);
  }
  for (Row& row : report.rows) judge(row, report.ceilings);
  if (!o.json.empty()) save_report(o.json, report);
  if (!o.roofline.empty()) save_text(o.roofline, roofline(report));
  const auto wrong = std::count_if(report.rows.begin(), report.rows.end(),
                                   [](const Row& r) { return r.status == Row::Status::wrong; });
  require(wrong == 0, wrong, " of ", report.rows.size(), " versions are wrong");
  return 0;
}

// One picture per part of a network: "x.svg", or "x_decoder.svg" where there are several.
void draw_flames(const std::string& file, const std::vector<NetProfile>& profiles, const Ceilings& ceilings) {
  for (const NetProfile& p : profiles) {
    std::string name = file;
    if (profiles.size() > 1) {
      const std::size_t dot = std::min(file.rfind(".svg"), file.size());
      std::string part = "_" + p.net + (profiles.size() > 2 ? "_" + p.dtype : "");
      std::replace(part.begin(), part.end(), ' ', '_');
      name.insert(dot, part);
    }
    save_text(name, flame(p, ceilings));
  }
}

int run_nets(const Options& o) {
  const Place place(parse_device(o.device));
  require(!place.emulated(), "--net: an emulator's time says nothing");
  Report report{.machine = this_machine(place), .ceilings = measure_ceilings(place), .rows = {}, .nets = {}};
  print_header(std::cout, report);
  std::vector<NetProfile> profiles;
  for (const std::string& name : split(o.nets))
    for (const DType dtype : dtypes_of(split(o.dtypes))) {
      const NetResult found = run_net(place, name, dtype, o.batch, o.effort.seconds);
      for (const NetRow& row : found.rows) {
        print_net(std::cout, row);
        report.nets.push_back(row);
      }
      for (const NetProfile& p : found.profiles) {
        print_profile(std::cout, p, report.ceilings);
        report.profiles.push_back(to_json(p));
        profiles.push_back(p);
      }
    }
  if (!o.json.empty()) save_report(o.json, report);
  if (!o.flame.empty()) draw_flames(o.flame, profiles, report.ceilings);
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{
      "Checks versions of kernels against the reference, then times them on memory that no cache holds, "
      "beside\n"
      "the ceilings that it measures first: copied bytes and arithmetic.",
      "boxprompt-bench"};
  Options o;
  add_options(app, o);
  app.footer(
      "Examples:\n"
      "  boxprompt-bench --list\n"
      "  boxprompt-bench --op attention_relpos --shape sam_b_global --dtype bf16 --device cuda:0\n"
      "  boxprompt-bench --op matmul --shape 4096x768x2304 --version engine --json found.json\n"
      "  boxprompt-bench --net sam_vit_b --flame where.svg\n"
      "  boxprompt-bench --compare before.json after.json\n"
      "  boxprompt-bench --device simt --op layer_norm       (right or wrong, without a GPU)\n"
      "Options that begin with --benchmark_ are Google Benchmark's.");
  std::vector<std::string> arguments(argv + 1, argv + argc);
  std::vector<std::string> for_benchmark = take_benchmark_options(arguments);
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
    app.parse(arguments);
    set_threads(o.threads);
    if (o.list) {
      list(std::cout);
      return 0;
    }
    if (!o.compare.empty()) {
      print_comparison(std::cout, load_report(o.compare[0]), load_report(o.compare[1]));
      return 0;
    }
    if (!o.nets.empty()) return run_nets(o);
    return run_cases(o, std::move(for_benchmark));
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    std::cerr << "boxprompt-bench: " << e.what() << "; see boxprompt-bench --help\n";
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "boxprompt-bench: " << e.what() << '\n';
    return 1;
  }
}

}  // namespace
}  // namespace bp::bench

int main(int argc, char** argv) {
  return bp::bench::run(argc, argv);
}
