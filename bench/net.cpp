#include "bench/net.h"

#include <algorithm>

#include "engine/graph.h"
#include "nets/precision.h"
#include "nets/sam/predictor.h"
#include "nets/student/student.h"
#include "weights/load.h"
#include "weights/procedural.h"

namespace bp::bench {
namespace {

constexpr int kProfileRuns = 5;

// Something that is timed by itself. What it calls keeps its network alive.
struct Part {
  std::string name;
  std::function<void()> run;
  bool records = true;  // whether a graph can hold it
};

Tensor random(const char* name, const Shape& shape, double scale, Device device) {
  return to(procedural(name, shape, {}, {0.0, scale}), device);
}

std::vector<Part> sam_parts(const std::string& variant, DType dtype, Device device) {
  const auto net = std::make_shared<sam::Sam>(variant);
  load(net->params(), ProceduralSource());
  net->prepare(device, dtype);
  const Tensor image = random("image", {1, sam::kImageSize, sam::kImageSize, 3}, 2, device);
  const Tensor embedding = random("embedding", {1, 64, 64, 256}, 1, device);
  sam::Prompts prompts;
  prompts.boxes = from_values({1, 4}, std::vector<float>{100, 200, 500, 700});
  return {
      {"sam_" + variant + " encoder", [=] { net->encode(image); }},
      {"sam_" + variant + " decoder", [=] { net->decode(embedding, prompts, sam::MaskSet::single); }, false}};
}

std::vector<Part> student_parts(DType dtype, i64 batch, Device device) {
  const auto net = std::make_shared<student::Student>();
  student::initialise(net->params(), 1);
  net->prepare(device, dtype);
  const Tensor image = random("image", {batch, 224, 224, 3}, 2, device);
  return {{"student", [=] {
             const NoGrad no_grad;
             (*net)(image);
           }}};
}

struct Training {
  student::Student net;
  std::unique_ptr<AdamW> adamw;
  Tensor image, mask;
};

std::vector<Part> train_parts(DType dtype, i64 batch, Device device) {
  const auto t = std::make_shared<Training>();
  const Params params = t->net.params();
  student::initialise(params, 1);
  to_device(params, device);
  round_to(params, dtype);
  t->net.train();
  require_grad(params);
  t->adamw = std::make_unique<AdamW>(
      params,
      [](const Param& p) {
        return Group{student::decays(p), 1};
      },
      AdamWOptions{.clip = 1, .average = 0.999});
  t->adamw->begin(1e-5);
  t->image = random("image", {batch, 224, 224, 3}, 2, device);
  t->mask = sigmoid(random("mask", {batch, 224, 224, 1}, 4, device));
  return {{"train", [=] {
             const Tensor loss = [&] {
               const Tensor logits = t->net(t->image);
               const Scope scope("loss");
               return bce_with_logits(logits, t->mask);
             }();
             backward(loss);
             const Scope scope("optimizer");
             t->adamw->launch();
           }}};
}

bool is_sam(const std::string& name) {
  return name.starts_with("sam_");
}

}  // namespace

const std::vector<std::string>& net_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const std::string& v : sam::Sam::variants()) all.push_back("sam_" + v);
    all.insert(all.end(), {"student", "train"});
    return all;
  }();
  return names;
}

NetResult run_net(const Place& place, const std::string& name, DType dtype, i64 batch, double seconds) {
  const auto& names = net_names();
  require(std::find(names.begin(), names.end(), name) != names.end(), "unknown network ", name,
          ", known: ", join(names, ", "));
  require(!is_sam(name) || batch <= 1, "--batch ", batch, ": SAM takes images one by one");
  if (batch == 0) batch = name == "train" ? 16 : 1;
  const Device device = place.device();
  const std::vector<Part> parts = is_sam(name)        ? sam_parts(name.substr(4), dtype, device)
                                  : name == "student" ? student_parts(dtype, batch, device)
                                                      : train_parts(dtype, batch, device);
  NetResult result;
  for (const Part& part : parts) {
    const auto timed = [&](const std::function<void()>& run) {
      run();
      place.synchronize();
      void* begin = place.mark();
      run();
      const double expected = place.seconds(begin, place.mark());
      return time_calls(
          place, [&](i64) { run(); }, expected, seconds, Caches::as_they_are);
    };
    NetRow row{
        .net = part.name, .dtype = name_of(dtype), .how = "calls", .batch = batch, .time = timed(part.run)};
    result.rows.push_back(row);
    result.profiles.push_back({.net = part.name,
                               .dtype = row.dtype,
                               .batch = batch,
                               .whole = row.time.median,
                               .calls = profile_calls(place, part.run, kProfileRuns)});
    if (part.records && !place.is_cpu() && !place.emulated()) {
      const Graph graph = capture(device, part.run);
      row.how = "graph", row.time = timed([&] { graph.launch(); });
      result.rows.push_back(row);
    }
  }
  return result;
}

}  // namespace bp::bench
