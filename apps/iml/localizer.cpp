#include "apps/iml/localizer.h"

#include <cmath>
#include <cstring>

#include "kernels/threads.h"

namespace bp {

Localizer::Localizer(const std::filesystem::path& weights, Device device, DType dtype) {
  LoadedStudent loaded = load_student(weights);
  *this = Localizer(std::move(loaded.net), loaded.config, device, dtype);
}

Localizer::Localizer(student::Student net, const StudentConfig& config, Device device, DType dtype)
    : net_(std::move(net)), config_(config), device_(device) {
  check_input_size("localizer", config_.size);
  net_.prepare(device, dtype);
}

void Localizer::set_size(i64 size) {
  check_input_size("localizer", size);
  config_.size = size;
}

Tensor Localizer::squeezed(std::span<const Tensor> images) const {
  const NoGrad no_grad;
  const auto n = static_cast<i64>(images.size());
  const i64 size = config_.size, values = size * size * 3;
  require(n > 0, "localizer: no images");
  Tensor batch = empty({n, size, size, 3});
  parallel_for(n, 1, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      const Tensor input = student_input(images[static_cast<std::size_t>(i)], size);
      std::memcpy(batch.data<float>() + i * values, input.data<float>(),
                  static_cast<std::size_t>(values) * sizeof(float));
    }
  });
  const Tensor probabilities = run_student(net_, batch, device_).reshape({n, size, size});
  const float* p = probabilities.data<float>();
  for (i64 i = 0; i < probabilities.numel(); ++i)
    require(!std::isnan(p[i]), "the student's answer is NaN: are the weights whole?");
  return probabilities;
}

std::vector<Tensor> Localizer::maps(std::span<const Tensor> images) const {
  const Tensor probabilities = squeezed(images);
  std::vector<Tensor> maps;
  for (std::size_t i = 0; i < images.size(); ++i)
    maps.push_back(resize_map(probabilities[static_cast<i64>(i)], images[i].dim(0), images[i].dim(1)));
  return maps;
}

Tensor Localizer::map(const Tensor& image) const {
  return maps(std::span(&image, 1))[0];
}

Tensor resize_map(const Tensor& map, i64 height, i64 width) {
  const NoGrad no_grad;
  return resize_bilinear(map.reshape({1, map.dim(0), map.dim(1), 1}), height, width).reshape({height, width});
}

}  // namespace bp
