// SAM end to end in its parts: preprocessing, each image encoder, the decoder for one box and for a batch.
#include <memory>
#include <string_view>

#include "bench/counters.h"
#include "nets/sam/predictor.h"
#include "weights/load.h"

namespace bp::bench {
namespace {

using benchmark::State;

// Multiply-adds of an image encoder at 1024 x 1024 as it runs here: products on 4096 tokens, attention of
// four global blocks and of windows padded to 25 x 196 tokens, patch embedding, neck.
double encoder_multiply_adds(std::string_view variant) {
  if (variant == "vit_t") return 38.8e9;  // MobileSAM's encoder, padding included
  const double width = variant == "vit_b" ? 768 : variant == "vit_l" ? 1024 : 1280;
  const double blocks = variant == "vit_b" ? 12 : variant == "vit_l" ? 24 : 32;
  const double products = blocks * 4096 * 12 * width * width;
  const double attention = 2 * width * (4 * 4096.0 * 4096 + (blocks - 4) * 25 * 196 * 196);
  return products + attention + 4096 * (768 * width + 256 * width + 9 * 256 * 256);
}

// One at a time: ViT-H alone is 2.6 GB.
const sam::Sam& network(const char* variant) {
  static std::unique_ptr<sam::Sam> net;
  if (!net || net->variant() != variant) {
    net.reset();
    net = std::make_unique<sam::Sam>(variant);
    load(net->params(), ProceduralSource());
    place(net->params());
    net->prepare();
  }
  return *net;
}

void preprocessing(State& state) {
  const Tensor image = on_device(full({state.range(0), state.range(1), 3}, 127, DType::u8));
  const auto frame = sam::Frame::of(image.dim(0), image.dim(1));
  measure(state, [&] { return sam::preprocess(image, frame); });
  count(state, 0, static_cast<double>(image.numel()) + 12.0 * 1024 * 1024);
}

void encoder(State& state, const char* variant) {
  const sam::Sam& net = network(variant);
  const Tensor image = random("image", {1, 1024, 1024, 3}, 2.0);
  measure(state, [&] { return net.encode(image); });
  count(state, encoder_multiply_adds(variant), 0);
}

void decoder(State& state) {
  const sam::Sam& net = network("vit_t");
  const Tensor embedding = random("embedding", {1, 64, 64, 256});
  const i64 batch = state.range(0);
  std::vector<float> boxes;
  for (i64 i = 0; i < batch; ++i)
    for (float v : {100.0f, 200.0f, 500.0f + static_cast<float>(i), 700.0f}) boxes.push_back(v);
  sam::Prompts prompts;
  prompts.boxes = from_values({batch, 4}, boxes);
  measure(state, [&] { return net.decode(embedding, prompts, sam::MaskSet::single); });
  count(state, 1.81e9 * static_cast<double>(batch), 0);
}

BENCHMARK(preprocessing)
    ->Args({400, 600})
    ->Args({2100, 1400})
    ->Args({4000, 6000})
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime();
BENCHMARK(decoder)->ArgName("boxes")->Arg(1)->Arg(16)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK_CAPTURE(encoder, vit_t, "vit_t")->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK_CAPTURE(encoder, vit_b, "vit_b")->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK_CAPTURE(encoder, vit_l, "vit_l")->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK_CAPTURE(encoder, vit_h, "vit_h")->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
}  // namespace bp::bench
