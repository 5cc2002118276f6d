// boxprompt-bench: shapes, the check, the comparison of reports, pictures, and the program itself. No test
// looks at how long anything took.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <pugixml.hpp>
#include <sstream>
#include <sys/wait.h>

#include "bench/bench.h"
#include "bench/compare.h"
#include "bench/profile.h"
#include "bench/roofline.h"
#include "engine/error.h"
#include "engine/ops.h"
#include "engine/profile.h"
#include "tests/temp_folder.h"

using namespace bp;
using namespace bp::bench;

namespace {

std::string read(const std::filesystem::path& file) {
  std::ostringstream all;
  all << std::ifstream(file).rdbuf();
  return all.str();
}

struct Outcome {
  int code;
  std::string out, error;
};
Outcome run(const std::string& command) {
  const TempFolder folder;
  const auto out = folder / "out", error = folder / "error";
  const int status = std::system((command + " >" + out.string() + " 2>" + error.string()).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(out), read(error)};
}
Outcome bench_program(const std::string& arguments) {
  return run(std::string(BOXPROMPT_BENCH) + " " + arguments);
}

Timing timing(double median, double spread, int repetitions = 20) {
  return {median, median * (1 - spread), median * (1 + spread), median * (1 - spread), repetitions, 1};
}

Row timed_row(const char* op, const char* version, double seconds, Work work, const char* dtype = "f32") {
  Row r{.op = op,
        .shape = "a_shape",
        .sizes = "1x2",
        .dtype = dtype,
        .version = version,
        .idea = "an idea",
        .why = {},
        .work = work,
        .time = timing(seconds, 0.01)};
  r.status = Row::Status::timed;
  return r;
}

Report made_up() {
  Report r;
  r.machine = {"cpu", "A processor <&>", "kernels x", "2", "", "abc", "2026-01-02T03:04:05Z", ""};
  r.ceilings.copy = 4e10, r.ceilings.read = 5e10, r.ceilings.update = 4e10,
  r.ceilings.peak = {{"f32", 2e11}, {"bf16", 4e11}};
  r.rows = {timed_row("matmul", "1_naive", 1, {1e9, 1e7}), timed_row("matmul", "engine", 0.01, {1e9, 1e7}),
            timed_row("layer_norm", "2_rows", 0.001, {8e6, 8e6}, "bf16")};
  for (Row& row : r.rows) judge(row, r.ceilings);
  return r;
}

pugi::xml_document parsed(const std::string& svg) {
  pugi::xml_document doc;
  const auto result = doc.load_string(svg.c_str());
  CHECK_MESSAGE(result, result.description());
  CHECK(std::string(doc.document_element().name()) == "svg");
  return doc;
}

bool failing(const Op& op, const char* shape, std::string_view part) {
  try {
    shape_of(op, shape);
  } catch (const Error& e) {
    return std::string_view(e.what()).find(part) != std::string_view::npos;
  }
  return false;
}

}  // namespace

TEST_CASE("shapes by name and by sizes") {
  const Op& matmul = op_named("matmul");
  CHECK(shape_of(matmul, "sam_b_qkv").sizes == Sizes{{4096, 2304, 768}, ""});
  CHECK(shape_of(matmul, "3x5x7").sizes == Sizes{{3, 5, 7}, ""});
  CHECK(shape_of(matmul, "3x5x7:tn").sizes == Sizes{{3, 5, 7}, "tn"});
  CHECK(shape_of(matmul, "3x5x7:tn").name == "3x5x7:tn");
  CHECK(failing(matmul, "sam_b_qvk", "unknown shape sam_b_qvk, known: sam_b_qkv"));
  CHECK(failing(matmul, "3x5", "2 sizes, wanted m x n x k"));
  CHECK(failing(matmul, "3x5x0", "'0' is no size"));
  CHECK(failing(matmul, "3x5x-1", "'-1' is no size"));
  CHECK(failing(matmul, "3x5x7x", "empty name"));
  CHECK(failing(matmul, "3x5x99999999999999999999", "is no size"));
  CHECK(failing(matmul, "3x5x7:xx", "unknown kind 'xx', known: nn, tn"));
  CHECK(failing(matmul, "3x5x7:", "unknown kind ''"));
  CHECK_THROWS_AS(op_named("mutmal"), Error);
}

TEST_CASE("every shape can be cut to what a naive kernel or an emulator does in a moment") {
  for (const Op& op : all_ops())
    for (const NamedShape& s : op.shapes) {
      CAPTURE(op.name);
      CAPTURE(s.name);
      CHECK(op.make(cut_to(op, s.sizes, 1e7), DType::f32).work.ops <= 6e7);
      CHECK(cut_to(op, s.sizes, 1e300) == s.sizes);
    }
}

TEST_CASE("error is relative to the largest value, and what is not a number is wrong") {
  CHECK(error_of({1, 2, 4}, {1, 2, 4}) == 0);
  CHECK(error_of({1, 2, 3}, {1, 2, 4}) == 0.25);
  CHECK(error_of({0, 0.5f}, {0, 0}) == 0.5);
  CHECK(std::isnan(error_of({NAN, 1}, {1, 1})));
  CHECK(std::isnan(error_of({INFINITY, 1}, {1, 1})));
  CHECK(error_of({INFINITY, 1}, {INFINITY, 1}) == 0);
}

TEST_CASE("a version that computes something else is wrong and not timed, one that throws says why") {
  static int calls;
  calls = 0;
  struct Cheat {
    static void forgets_the_last(const k::LayerNorm& a) {
      ++calls;
      k::LayerNorm fewer = a;
      --fewer.rows;
      kernels(Device{}).layer_norm(fewer);
    }
    static void adds_the_weight(const k::LayerNorm& a) {
      k::LayerNorm other = a;
      other.b = a.w;
      kernels(Device{}).layer_norm(other);
    }
    static void throws(const k::LayerNorm&) { throw std::runtime_error("out of order"); }
    static bool takes(const k::LayerNorm&) { return true; }
    static bool refuses(const k::LayerNorm&) { return false; }
  };
  static const k::Rung<k::LayerNorm> rungs[] = {{"1_cheat", "", Cheat::takes, Cheat::forgets_the_last},
                                                {"2_throws", "", Cheat::takes, Cheat::throws},
                                                {"3_refuses", "", Cheat::refuses, Cheat::throws},
                                                {"4_other_values", "", Cheat::takes, Cheat::adds_the_weight}};
  static k::Ladders ladders;
  ladders.layer_norm = {rungs, 4};
  static Op op = op_named("layer_norm");
  static const Op honest = op;
  op.make = [](const Sizes& s, DType t) {
    Problem p = honest.make(s, t);
    p.versions = [versions = p.versions](const k::Kernels& kernels, const k::Ladders*) {
      return versions(kernels, &ladders);
    };
    return p;
  };
  const Place place{Device{}};
  Bench bench(place, {.check_only = false, .seconds = 0.001, .limit = 10});
  Ceilings ceilings = made_up().ceilings;
  const auto row = [&](const char* version) {
    return bench.run({&op, {"5x8", {{5, 8}, ""}}, DType::f32, version, ""}, ceilings);
  };
  CHECK(row("1_cheat").status == Row::Status::wrong);
  CHECK(calls == 1);
  CHECK(row("2_throws").status == Row::Status::wrong);
  CHECK(row("2_throws").why == "out of order");
  CHECK(row("3_refuses").status == Row::Status::left_out);
  CHECK(row("4_other_values").status == Row::Status::wrong);
  CHECK(row("4_other_values").why.starts_with("error"));
  CHECK(row("engine").status == Row::Status::timed);
}

TEST_CASE("faster, slower, or within the noise") {
  CHECK(change(timing(1, 0.001), timing(1.015, 0.001)).verdict == Verdict::same);  // below 2 %
  CHECK(change(timing(1, 0.001), timing(1.03, 0.001)).verdict == Verdict::slower);
  CHECK(change(timing(1.03, 0.001), timing(1, 0.001)).verdict == Verdict::faster);
  CHECK(change(timing(1, 0.2), timing(1.2, 0.2)).verdict == Verdict::same);
  CHECK(change(timing(1, 0.2), timing(2, 0.2)).verdict == Verdict::slower);
  CHECK(change(timing(1, 0, 1), timing(1.08, 0, 1)).verdict == Verdict::same);  // one repetition each
  CHECK(change(timing(1, 0, 1), timing(1.3, 0, 1)).verdict == Verdict::slower);
  CHECK(change(timing(2, 0.01), timing(1, 0.01)).ratio == 0.5);
}

TEST_CASE("quantiles of repetitions") {
  const Timing t = statistics({5, 1, 4, 2, 3});
  CHECK(t.median == 3);
  CHECK(t.best == 1);
  CHECK(t.p10 == doctest::Approx(1.4));
  CHECK(t.p90 == doctest::Approx(4.6));
  CHECK(statistics({7}).median == 7);
}

TEST_CASE("the share of the ceiling is that of the one that binds") {
  const Report r = made_up();
  CHECK(r.rows[1].fraction == doctest::Approx(1e9 / 2e11 / 0.01));
  CHECK_FALSE(r.rows[1].memory_bound);
  CHECK(r.rows[2].fraction == doctest::Approx(8e6 / 5e10 / 0.001));
  CHECK(r.rows[2].memory_bound);
}

TEST_CASE("a report survives its file, and a file that is none is refused") {
  const TempFolder folder;
  const std::string file = (folder / "r.json").string();
  Report report = made_up();
  report.rows[0].status = Row::Status::wrong, report.rows[0].why = "error 1", report.rows[0].error = NAN;
  report.nets = {{"student", "f32", "graph", 4, timing(0.1, 0.1)}};
  save_report(file, report);
  const Report again = load_report(file);
  CHECK(again.ceilings.update == doctest::Approx(4e10));
  CHECK(to_json(again).dump() == to_json(report).dump());
  CHECK(again.rows[1].time.p90 == report.rows[1].time.p90);
  CHECK(again.rows[0].status == Row::Status::wrong);

  std::ostringstream out;
  print_comparison(out, again, report);
  CHECK(out.str().find("3 the same, 0 faster, 0 slower") != std::string::npos);
  for (const char* text : {"{}", "[]", "{", "{\"boxprompt_bench\": 2}"}) {
    folder.write("bad.json", text);
    CHECK_THROWS_AS(load_report((folder / "bad.json").string()), Error);
  }
}

TEST_CASE("the roofline is well-formed and holds every kernel") {
  const auto doc = parsed(roofline(made_up()));
  const auto svg = doc.document_element();
  CHECK(std::distance(svg.children("circle").begin(), svg.children("circle").end()) == 2);
  int labels = 0;
  for (const auto& text : svg.children("text")) labels += std::string(text.text().get()) == "a_shape";
  CHECK(labels == 2);  // of the two problems
  Report nothing = made_up();
  nothing.rows.clear();
  CHECK_THROWS_AS(roofline(nothing), Error);
}

TEST_CASE("a profile knows the part of every kernel, in the backward, too") {
  Tensor x = full({4, 8}, 1), w = full({8, 8}, 0.5f);
  const auto body = [&] {
    w.requires_grad();
    const Tensor y = [&] {
      const Scope outer("net");
      const Scope inner("block", 3);
      return linear(x, w);
    }();
    backward(sum(y));
    w.zero_grad();
  };
  const Place place{Device{}};
  NetProfile p{
      .net = "a net", .dtype = "f32", .batch = 4, .whole = 1, .calls = profile_calls(place, body, 2)};
  const auto count = [&](const std::string& part, const std::string& op) {
    return std::count_if(p.calls.begin(), p.calls.end(),
                         [&](const KernelCall& c) { return c.part == part && c.op == op; });
  };
  CHECK(count("net/block 3", "matmul") == 1);
  CHECK(count("", "sum_to") == 1);
  CHECK(count("backward/net/block 3", "matmul") == 1);  // the weight's gradient
  CHECK(p.calls.front().sizes == "4x8x8");
  CHECK(p.calls.front().work == Work{2 * 4 * 8 * 8, 4 * (32 + 64 + 32)});

  Ceilings ceilings;
  ceilings.copy = 1e10, ceilings.peak = {{"f32", 1e11}, {"bf16", 1e11}};
  const auto doc = parsed(flame(p, ceilings));
  bool named = false;
  for (const auto& rect : doc.document_element().children("rect"))
    named = named || std::string(rect.child("title").text().get()).starts_with("block 3: ");
  CHECK(named);
  std::ostringstream out;
  print_profile(out, p, ceilings);
  CHECK(out.str().find("net/block 3") != std::string::npos);
  // Without a profile the kernels are the device's own again.
  CHECK(&kernels(Device{}) == &place.kernels());
  CHECK(current_part() == 0);
}

TEST_CASE("the program checks all versions of small shapes on the processor and the emulator") {
  const TempFolder folder;
  const std::string json = (folder / "found.json").string();
  for (const std::string device : {"cpu", "simt"})
    for (const std::string what :
         {"layer_norm --shape 5x24", "matmul --shape 33x48x64", "depthwise --shape 1x5x6x8x2"}) {
      const Outcome o =
          bench_program("--check-only --dtype all --device " + device + " --op " + what + " --json " + json);
      CAPTURE(o.error);
      CAPTURE(o.out);
      CHECK(o.code == 0);
      const Report found = load_report(json);
      const auto right = std::count_if(found.rows.begin(), found.rows.end(),
                                       [](const Row& r) { return r.status == Row::Status::checked; });
      CHECK(right >= 2);
      CHECK(found.rows.back().version == "engine");
      CHECK(found.rows.back().status == Row::Status::checked);
      CHECK(found.machine.device == device);
    }
}

TEST_CASE("the program times, writes JSON and draws, and compares a report with itself") {
  const TempFolder folder;
  const std::string json = (folder / "found.json").string(), svg = (folder / "roof.svg").string();
  const Outcome o = bench_program("--op layer_norm --shape 64x64 --version engine --seconds 0.01 --json " +
                                  json + " --roofline " + svg);
  CAPTURE(o.error);
  REQUIRE(o.code == 0);
  const Report found = load_report(json);
  REQUIRE(found.rows.size() == 1);
  CHECK(found.rows[0].status == Row::Status::timed);
  CHECK(found.rows[0].fraction > 0);
  CHECK(found.ceilings.bandwidth() > 0);
  CHECK(found.ceilings.peak.at("bf16") >= found.ceilings.peak.at("f32"));
  parsed(read(svg));
  const Outcome same = bench_program("--compare " + json + " " + json);
  CHECK(same.code == 0);
  CHECK(same.out.find("1 the same, 0 faster, 0 slower") != std::string::npos);
}

TEST_CASE("the program lists what there is, and says in one line what is wrong with its arguments") {
  const Outcome list = bench_program("--list");
  CHECK(list.code == 0);
  for (const char* part : {"attention_relpos", "sam_b_global", "heads x d x h x w", "engine", "simt"})
    CHECK(list.out.find(part) != std::string::npos);
  for (const char* arguments :
       {"--op nothing", "--shape 3x5", "--op matmul --shape 3", "--dtype f64", "--device tpu", "--version 99",
        "--what", "--op matmul,", "--net nothing", "--compare a.json b.json",
        "--benchmark_nothing=1 --check-only", "--net student --device simt", "--net sam_vit_b --batch 2"}) {
    CAPTURE(arguments);
    const Outcome o = bench_program(arguments);
    CHECK(o.code != 0);
    CHECK(std::count(o.error.begin(), o.error.end(), '\n') == 1);
  }
  const Outcome names = bench_program("--op adamw --version engine --benchmark_list_tests");
  CHECK(names.code == 0);
  CHECK(names.out.starts_with("adamw/student/f32/engine"));
}

TEST_CASE("tables are made of result files, and stale ones are told") {
  const std::string python = BOXPROMPT_PYTHON;
  if (python.empty()) return;
  const TempFolder folder;
  const auto doc = folder.write("docs/kernels/matmul.md",
                                "# A chapter\n<!-- ladder matmul -->\nold\n<!-- /ladder -->\nIts end.\n");
  const std::string script =
      python + " " BOXPROMPT_SOURCE_DIR "/bench/docs.py --root " + folder.path.string();
  CHECK(run(script + " --check").code == 1);
  CHECK(run(script).code == 0);
  CHECK(read(doc).find("Not measured yet on a processor.") != std::string::npos);
  CHECK(read(doc).find("old") == std::string::npos);
  CHECK(run(script + " --check").code == 0);

  std::filesystem::create_directories(folder / "bench/results");
  Report report = made_up();
  report.machine.name = "A processor";
  save_report((folder / "bench/results/cpu.json").string(), report);
  const Outcome stale = run(script + " --check");
  CHECK(stale.code == 1);
  CHECK(stale.out == "docs/kernels/matmul.md: stale\n");
  CHECK(run(script).code == 0);
  const std::string text = read(doc);
  CAPTURE(text);
  CHECK(text.find("**A processor** (cpu, kernels x, threads 2), 2026-01-02, commit abc.") !=
        std::string::npos);
  CHECK(text.find("| 1_naive | an idea | 1 s, 1 GFLOP/s, 0.5 % |") != std::string::npos);
  CHECK(text.find("| engine | an idea | 10 ms, 100 GFLOP/s, 50.0 % |") != std::string::npos);
  CHECK(text.find("Not measured yet on a GPU.") != std::string::npos);
  CHECK(text.ends_with("<!-- /ladder -->\nIts end.\n"));
  CHECK(run(script + " --check").code == 0);

  // gpu-check's file holds the same inside.
  report.machine.device = "cuda:0", report.machine.name = "A GPU";
  folder.write("bench/results/gpu.json",
               nlohmann::json{{"checks", {{"benchmarks", {{"report", to_json(report)}}}}}}.dump());
  CHECK(run(script).code == 0);
  CHECK(read(doc).find("**A GPU** (cuda:0") != std::string::npos);
  CHECK(read(doc).find("Not measured yet") == std::string::npos);
}
