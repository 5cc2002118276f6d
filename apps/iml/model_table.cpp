#include "apps/iml/model_table.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "apps/iml/architectures.h"
#include "apps/iml/student_file.h"
#include "engine/trace.h"
#include "nets/sam/sam.h"

namespace bp {
namespace {

// "a.b.weight" is of layer "a.b", and so is its BatchNorm "a.bn.bias" of the convolution "a.c.weight".
std::string layer_of(std::string name) {
  const auto strip = [&] { name.erase(std::min(name.size(), name.rfind('.'))); };
  strip();
  if (name.ends_with(".c") || name.ends_with(".bn")) strip();
  return name;
}

ModelTable table_of(const Params& params, const Trace& trace) {
  ModelTable table;
  std::map<const void*, std::string> layer_at;
  std::map<std::string, i64> left;  // parameters by layer that no row has shown yet
  for (const Param& p : params) {
    layer_at[p.tensor->raw()] = layer_of(p.name);
    if (is_buffer(p.name)) continue;
    left[layer_of(p.name)] += p.shape.numel();
    table.parameters += p.shape.numel();
  }
  for (const TracedOp& op : trace.ops()) {
    LayerRow row{{}, op.op, op.output, 0, op.multiply_adds};
    for (const void* weight : op.weights)
      if (const auto it = layer_at.find(weight); it != layer_at.end() && row.layer.empty())
        row.layer = it->second;
    if (row.layer.empty() && row.multiply_adds == 0) continue;
    row.parameters = std::exchange(left[row.layer], 0);
    table.multiply_adds += row.multiply_adds;
    table.layers.push_back(std::move(row));
  }
  for (const auto& [layer, parameters] : left)
    if (parameters > 0) table.layers.push_back({layer, "", {}, parameters, 0});
  return table;
}

void set_to_zero(const Params& params, Device device) {
  for (const Param& p : params) *p.tensor = to_ours(zeros(p.shape, DType::f32, device), p.layout);
}

// In the form for training, where convolutions have the weights that they were loaded with; BatchNorm's own
// pass is no product.
template <class Net>
ModelTable run_trunk(Net& net, const Params& params, i64 size, Device device) {
  check_input_size("model", size);
  require(size > 32, "model: at 32 x 32 nothing is left for the last stage to normalise; wanted 64 or more");
  set_to_zero(params, device);
  net.train(true);
  const Trace trace;
  net(zeros({1, size, size, 3}, DType::f32, device));
  return table_of(params, trace);
}

ModelTable run_sam(const std::string& variant, Device device) {
  const auto net = std::make_unique<sam::Sam>(variant);
  const Params params = net->params();
  set_to_zero(params, device);
  net->prepare();
  const Trace trace;
  const Tensor embedding = net->encode(zeros({1, sam::kImageSize, sam::kImageSize, 3}));
  sam::Prompts box;
  box.boxes = zeros({1, 4});
  net->decode(embedding, box, sam::MaskSet::multi);
  return table_of(params, trace);
}

}  // namespace

i64 default_size(const Architecture& architecture) {
  return architecture.family == Architecture::Family::sam ? sam::kImageSize : StudentConfig().size;
}

ModelTable model_table(const Architecture& architecture, i64 size, Device device) {
  const NoGrad no_grad;
  ModelTable table;
  switch (architecture.family) {
    case Architecture::Family::student: {
      student::Student net(student_parts(architecture));
      table = run_trunk(net, net.params(), size, device);
      break;
    }
    case Architecture::Family::tiny_vit: {
      tiny_vit::TinyVit net;
      Params params;
      net.collect(params);
      table = run_trunk(net, params, size, device);
      break;
    }
    case Architecture::Family::sam:
      require(size == sam::kImageSize, "model: SAM takes images of ", sam::kImageSize, ", not ", size);
      require(architecture.variant != "vit_t",
              "model: sam_vit_t's encoder is tiny_vit_5m; see that at --size 1024");
      table = run_sam(architecture.variant, device);
  }
  table.input = {1, size, size, 3};
  return table;
}

}  // namespace bp
