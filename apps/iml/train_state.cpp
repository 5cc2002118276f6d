#include "apps/iml/train_state.h"

#include <nlohmann/json.hpp>

#include "weights/load.h"
#include "weights/safetensors.h"

namespace bp {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kKey = "training";

Json to_json(const TrainProgress& progress) {
  Json j{{"step", progress.step}};
  if (const auto& b = progress.best)
    j["best"] = {{"step", b->step},       {"f1", b->f1},
                 {"iou", b->iou},         {"auc", b->auc ? Json(*b->auc) : Json()},
                 {"best_f1", b->best_f1}, {"threshold", b->threshold}};
  return j;
}

TrainProgress from_json(const Json& j) {
  TrainProgress progress{j.at("step").get<i64>(), {}};
  require(progress.step >= 0, "step ", progress.step);
  if (j.contains("best")) {
    const Json& b = j["best"];
    Validation v{b.at("step"), b.at("f1"), b.at("iou"), {}, b.at("best_f1"), b.at("threshold")};
    if (!b.at("auc").is_null()) v.auc = b.at("auc").get<double>();
    progress.best = v;
  }
  return progress;
}

}  // namespace

void save_state(const fs::path& path, const Params& params, const AdamW& optimizer,
                const TrainProgress& progress) {
  std::vector<PlannedTensor> planned;
  for (const Param& p : params)
    planned.push_back({p.name, p.tensor->dtype() == DType::bf16 ? FileDType::BF16 : FileDType::F32, p.shape});
  const NamedTensors state = optimizer.state();
  std::vector<Tensor> others;
  for (const auto& [name, tensor] : state) {
    planned.push_back({name, tensor.dtype() == DType::i32 ? FileDType::I32 : FileDType::F32, tensor.shape()});
    others.push_back(tensor);
  }
  write_safetensors(path, planned, {{kKey, to_json(progress).dump()}}, [&](std::size_t i) {
    if (i >= params.size()) return others[i - params.size()];
    return to_published(params[i].tensor->detach(), params[i].shape, params[i].layout);
  });
}

TrainProgress load_state(const fs::path& path, const Params& params, AdamW& optimizer) {
  const Archive archive = open_archive(path);
  const auto it = archive.metadata().find(kKey);
  require(it != archive.metadata().end(), path.string(), ": is not the state of a training run");
  TrainProgress progress;
  try {
    progress = from_json(Json::parse(it->second));
  } catch (const std::exception& e) {
    fail(path.string(), ": damaged record of the training run: ", e.what());
  }
  const ArchiveSource source{archive};
  require_complete(params, source);
  NamedTensors state;
  for (const Entry& entry : archive.entries())
    if (entry.name.rfind("adamw.", 0) == 0) state[entry.name] = archive.tensor(entry.name);
  try {
    optimizer.load_state(state);
  } catch (const Error& e) {
    fail(path.string(), ": ", e.what());
  }
  for (const Param& p : params) {
    const Tensor value = to_ours(source.tensor(p), p.layout);
    require(value.dtype() == p.tensor->dtype(), path.string(), ": ", p.name, " is ", name_of(value.dtype()));
    copy_into(*p.tensor, value);
  }
  return progress;
}

}  // namespace bp
