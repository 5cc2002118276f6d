#include "bench/profile.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "bench/report.h"
#include "bench/timing.h"
#include "engine/error.h"
#include "engine/profile.h"

namespace bp::bench {
namespace {

struct Recorder {
  const Place& place;
  const k::Kernels& real;
  const Profile* profile = nullptr;
  std::vector<KernelCall> calls{};
};
thread_local Recorder* recorder = nullptr;

template <class... N>
std::string times(N... n) {
  return to_text(Sizes{{n...}, ""});
}

template <class Args>
std::string sizes_of(const Args& a) {
  if constexpr (requires { a.forward; })
    return sizes_of(a.forward);
  else if constexpr (requires { a.ta; })
    return times(a.m, a.n, a.k) + (a.batch > 1 ? " by " + std::to_string(a.batch) : "") + (a.ta ? ":tn" : "");
  else if constexpr (requires { a.kh; })
    return times(a.n, a.h, a.w, a.c, a.o, a.kh, a.stride);
  else if constexpr (requires { a.win_h; })
    return times(a.batch, a.heads, a.d, a.h, a.w, a.win_h);
  else if constexpr (requires { a.nq; })
    return times(a.batch, a.heads, a.d, a.nq, a.nk);
  else if constexpr (requires { a.norm_w; })
    return times(a.rows, a.c, a.hidden);
  else if constexpr (requires { a.hidden; })
    return times(a.n, a.h, a.w, a.c, a.hidden, a.o, a.stride);
  else if constexpr (requires { a.rows; })
    return times(a.rows, a.cols);
  else if constexpr (requires { a.stride; })
    return times(a.n, a.h, a.w, a.c, a.stride);
  else if constexpr (requires { a.oh; })
    return times(a.h, a.w) + " to " + times(a.oh, a.ow);
  else if constexpr (requires { a.rank; })
    return to_text(Sizes{{a.dims, a.dims + a.rank}, ""});
  else if constexpr (requires { a.count; })
    return std::to_string(a.count) + " tensors";
  else
    return times(a.n);
}

std::string named(const char*, const k::Unary& a) {
  constexpr const char* names[] = {"gelu", "relu", "sigmoid", "affine"};
  return names[static_cast<int>(a.op)];
}
std::string named(const char*, const k::UnaryBackward& a) {
  constexpr const char* names[] = {"gelu_backward", "relu_backward", "sigmoid_backward", "affine_backward"};
  return names[static_cast<int>(a.op)];
}
std::string named(const char*, const k::Binary& a) {
  constexpr const char* names[] = {"add", "sub", "mul", "div"};
  return names[static_cast<int>(a.op)];
}
template <class Args>
std::string named(const char* name, const Args&) {
  return name;
}

template <class Args>
DType dtype_of(const Args& a) {
  if constexpr (requires { a.forward; })
    return a.forward.dtype;
  else if constexpr (requires { a.dtype; })
    return a.dtype;
  else
    return DType::f32;
}

template <class Args>
void record(const char* name, void (*run)(const Args&), const Args& a) {
  Recorder& r = *recorder;
  r.calls.push_back({r.profile->part(), named(name, a), sizes_of(a), dtype_of(a), work_of(a), 0});
  void* begin = r.place.mark();
  run(a);
  r.calls.back().seconds = r.place.seconds(begin, r.place.mark());
}

// The real kernels, each with a clock around it.
k::Kernels timed_kernels(const k::Kernels& real) {
  k::Kernels t{};
  t.name = "timed";
#define BP_TIMED(kernel) t.kernel = [](const auto& a) { record(#kernel, recorder->real.kernel, a); };
  BP_TIMED(fill)
  BP_TIMED(cast)
  BP_TIMED(strided_copy)
  BP_TIMED(unary)
  BP_TIMED(unary_backward)
  BP_TIMED(binary)
  BP_TIMED(sum_to)
  BP_TIMED(matmul)
  BP_TIMED(softmax)
  BP_TIMED(softmax_backward)
  BP_TIMED(layer_norm)
  BP_TIMED(layer_norm_backward)
  BP_TIMED(batch_norm)
  BP_TIMED(batch_norm_backward)
  BP_TIMED(l2_normalize)
  BP_TIMED(l2_normalize_backward)
  BP_TIMED(bce_with_logits)
  BP_TIMED(conv2d)
  BP_TIMED(conv2d_backward)
  BP_TIMED(depthwise)
  BP_TIMED(depthwise_backward)
  BP_TIMED(attention)
  BP_TIMED(attention_backward)
  BP_TIMED(window_attention)
  BP_TIMED(window_attention_backward)
  BP_TIMED(resize_bilinear)
  BP_TIMED(resize_bilinear_backward)
  BP_TIMED(resize_pil)
  BP_TIMED(normalize_pad)
  BP_TIMED(squared_norms)
  BP_TIMED(adamw)
  if (real.mbconv) BP_TIMED(mbconv)
  if (real.mlp) BP_TIMED(mlp)
#undef BP_TIMED
  return t;
}

std::vector<KernelCall> run_once(const Place& place, const std::function<void()>& body) {
  const k::Kernels timed = timed_kernels(place.kernels());
  Recorder r{.place = place, .real = place.kernels()};
  const Profile profile(place.device(), timed);
  r.profile = &profile;
  struct Installed {
    explicit Installed(Recorder& r) { recorder = &r; }
    ~Installed() { recorder = nullptr; }
  } const installed(r);
  body();
  return std::move(r.calls);
}

struct Sum {
  int calls = 0;
  double seconds = 0, floor = 0;
  Work work;
};

void print_sum(std::ostream& out, const std::string& name, const Sum& s, double all) {
  char line[256];
  std::snprintf(line, sizeof line, "  %-52s %4d %10s %5.1f %%", name.c_str(), s.calls,
                in_seconds(s.seconds).c_str(), 100 * s.seconds / all);
  out << line;
  if (s.floor > 0)
    std::snprintf(line, sizeof line, " %12s %14s %6.1f %% of the ceiling",
                  in_bytes(s.work.bytes / s.seconds).c_str(), in_ops(s.work.ops / s.seconds).c_str(),
                  100 * s.floor / s.seconds);
  out << (s.floor > 0 ? line : "") << '\n';
}

std::string head(const std::string& part, int levels) {
  std::size_t end = 0;
  for (int i = 0; i < levels && end != std::string::npos; ++i) end = part.find('/', end == 0 ? 0 : end + 1);
  return part.substr(0, end);
}

}  // namespace

double NetProfile::in_kernels() const {
  double sum = 0;
  for (const KernelCall& c : calls) sum += c.seconds;
  return sum;
}

std::vector<KernelCall> profile_calls(const Place& place, const std::function<void()>& body, int runs) {
  std::vector<std::vector<KernelCall>> all;
  for (int i = 0; i < runs; ++i) all.push_back(run_once(place, body));
  std::vector<KernelCall> calls = all.front();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    std::vector<double> seconds;
    for (const auto& run : all) {
      require(run.size() == calls.size() && run[i].op == calls[i].op, "profile: two runs differ");
      seconds.push_back(run[i].seconds);
    }
    calls[i].seconds = statistics(std::move(seconds)).median;
  }
  return calls;
}

void print_profile(std::ostream& out, const NetProfile& p, const Ceilings& ceilings) {
  constexpr std::size_t kShown = 20;
  std::map<std::string, Sum> kernels, parts;
  std::vector<std::string> order;
  for (const KernelCall& c : p.calls) {
    const std::string part = head(c.part, 2);
    if (!parts.count(part)) order.push_back(part);
    for (Sum* s : {&kernels[c.op + " " + c.sizes + " " + name_of(c.dtype)], &parts[part]}) {
      ++s->calls, s->seconds += c.seconds;
      s->floor += ceilings.floor(c.work, c.dtype);
      s->work.ops += c.work.ops, s->work.bytes += c.work.bytes;
    }
  }
  const double all = p.in_kernels();
  out << p.net << ", batch " << p.batch << ", " << p.dtype << ": " << in_seconds(all) << " in "
      << p.calls.size() << " kernels, " << in_seconds(p.whole) << " end to end\n parts\n";
  for (const std::string& part : order) print_sum(out, part.empty() ? "(no part)" : part, parts[part], all);
  out << " kernels\n";
  std::vector<std::pair<std::string, Sum>> sorted(kernels.begin(), kernels.end());
  std::sort(sorted.begin(), sorted.end(),
            [](auto& a, auto& b) { return a.second.seconds > b.second.seconds; });
  Sum rest;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i < kShown)
      print_sum(out, sorted[i].first, sorted[i].second, all);
    else
      rest.calls += sorted[i].second.calls, rest.seconds += sorted[i].second.seconds;
  }
  if (rest.calls) print_sum(out, "the others", rest, all);
}

nlohmann::json to_json(const NetProfile& p) {
  nlohmann::json j{{"net", p.net}, {"dtype", p.dtype}, {"batch", p.batch}, {"seconds", p.whole}};
  nlohmann::json& calls = j["calls"] = nlohmann::json::array();
  for (const KernelCall& c : p.calls)
    calls.push_back({{"part", c.part},
                     {"op", c.op},
                     {"sizes", c.sizes},
                     {"dtype", name_of(c.dtype)},
                     {"seconds", c.seconds},
                     {"ops", c.work.ops},
                     {"bytes", c.work.bytes}});
  return j;
}

}  // namespace bp::bench
