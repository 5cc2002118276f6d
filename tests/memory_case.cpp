#include "tests/memory_case.h"

#include "engine/allocator.h"
#include "nets/sam/predictor.h"
#include "nets/student/student.h"
#include "weights/load.h"
#include "weights/procedural.h"

namespace bp::test {

std::size_t peak_of_vit_h(Device device) {
  reset_peak(device);
  sam::Sam net("vit_h");
  load(net.params(), ProceduralSource(""));
  net.prepare(device, DType::bf16);
  sam::Predictor predictor(net);
  predictor.set_image(full({600, 400, 3}, 100, DType::u8));
  sam::Query query;
  query.boxes = {{50, 60, 300, 400}};
  predictor.at_original_size(predictor.predict(query).logits.reshape({256, 256}));
  return memory_stats(device).peak;
}

std::size_t peak_of_step(Device device, i64 batch) {
  student::Student net;
  const Params params = net.params();
  student::initialise(params, 1);
  to_device(params, device);
  net.train();
  require_grad(params);
  AdamW adamw(params,
              [](const Param& p) {
                return Group{student::decays(p), 1};
              },
              {.clip = 1, .average = 0.999});
  const Tensor images = to(full({batch, 224, 224, 3}, 0.5f), device),
               masks = to(full({batch, 224, 224, 1}, 0.5f), device);
  for (int step = 0; step < 2; ++step) {
    reset_peak(device);
    backward(bce_with_logits(net(images), masks));
    adamw.step(1e-5);
  }
  return memory_stats(device).peak;
}

}  // namespace bp::test
