#include "tests/sam_case.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/iml/image.h"
#include "nets/sam/predictor.h"
#include "tests/test_device.h"
#include "weights/load.h"
#include "weights/procedural.h"

namespace bp::test {
namespace {

// The formula of the pattern images, in integer arithmetic.
Tensor pattern(i64 height, i64 width) {
  Tensor image = empty({height, width, 3}, DType::u8);
  u8* out = image.data<u8>();
  for (i64 y = 0; y < height; ++y)
    for (i64 x = 0; x < width; ++x)
      for (i64 c = 0; c < 3; ++c)
        *out++ = static_cast<u8>((x * (c + 3) / 7 + y * (5 - c) / 9 + ((x * y) >> 9) +
                                  48 * (((x >> 6) + (y >> 6)) & 1) + ((x * x * (c + 1) + y * y) >> 13)) &
                                 255);
  return image;
}

// Loading ViT-H takes a while; files come sorted by variant.
const sam::Sam& network(const std::string& variant, const std::string& salt, DType dtype) {
  static std::unique_ptr<sam::Sam> net;
  static std::string key;
  const std::string wanted = variant + "/" + salt + "/" + name_of(dtype);
  if (key != wanted) {
    net.reset();
    net = std::make_unique<sam::Sam>(variant);
    load(net->params(), ProceduralSource(salt));
    net->prepare(testing::test_device(), dtype);
    key = wanted;
  }
  return *net;
}

Tensor pixels_of(const Archive& golden, const std::string& images) {
  const auto& meta = golden.metadata();
  const std::string image = meta.at("image");
  const Tensor pixels = image.rfind("pattern_", 0) == 0
                            ? pattern(std::stoll(meta.at("height")), std::stoll(meta.at("width")))
                            : load_image(images + "/" + image);
  REQUIRE(pixels.dim(0) == std::stoll(meta.at("height")));
  REQUIRE(pixels.dim(1) == std::stoll(meta.at("width")));
  return pixels;
}

struct Difference {
  double largest_value = 0, largest_error = 0;
  void add(double wanted, double got) {
    largest_value = std::max(largest_value, std::fabs(wanted));
    largest_error = std::max(largest_error, std::isfinite(got) ? std::fabs(wanted - got) : 1e30);
  }
  double relative() const { return largest_error / largest_value; }
};

Difference difference(const std::vector<float>& wanted, const std::vector<float>& got) {
  REQUIRE(wanted.size() == got.size());
  Difference d;
  for (std::size_t i = 0; i < wanted.size(); ++i) d.add(wanted[i], got[i]);
  return d;
}

sam::Query query_of(const nlohmann::json& description, const std::map<std::string, Tensor>& answers) {
  sam::Query q;
  if (description.at("multimask").get<bool>()) q.wanted = sam::MaskSet::multi;
  if (description.contains("boxes"))
    for (const auto& b : description["boxes"])
      q.boxes.push_back({b[0].get<double>(), b[1].get<double>(), b[2].get<double>(), b[3].get<double>()});
  if (description.contains("points"))
    for (std::size_t i = 0; i < description["points"].size(); ++i) {
      std::vector<sam::Point> list;
      for (std::size_t j = 0; j < description["points"][i].size(); ++j) {
        const auto& p = description["points"][i][j];
        list.push_back({p[0].get<double>(), p[1].get<double>(), description["labels"][i][j].get<int>() == 1});
      }
      q.points.push_back(list);
    }
  if (description.contains("mask_from"))
    q.mask = answers.at(description["mask_from"].get<std::string>()).reshape({1, 256, 256});
  return q;
}

// Stored masks: one bit per pixel, most significant first, rows padded to whole bytes.
double iou_with_bits(const Tensor& logits, const u8* bits) {
  const i64 height = logits.dim(0), width = logits.dim(1), row = (width + 7) / 8;
  i64 both = 0, either = 0;
  for (i64 y = 0; y < height; ++y)
    for (i64 x = 0; x < width; ++x) {
      const bool wanted = (bits[y * row + x / 8] >> (7 - x % 8)) & 1;
      const bool got = logits.data<float>()[y * width + x] > 0;
      both += wanted && got;
      either += wanted || got;
    }
  return either ? static_cast<double>(both) / static_cast<double>(either) : 1.0;
}

void check_case(const Archive& golden, const std::string& name, const sam::Masks& masks,
                const sam::Predictor& predictor) {
  CAPTURE(name);
  // A small golden stores every k-th logit of each axis, a whole one all of them.
  const Tensor wanted = golden.tensor(name + ".low_res_logits");
  const i64 step = 256 / wanted.dim(3);
  std::vector<float> sampled;
  const auto logits = masks.logits.values();
  for (i64 plane = 0; plane < masks.logits.numel() / 65536; ++plane)
    for (i64 y = 0; y < 256; y += step)
      for (i64 x = 0; x < 256; x += step)
        sampled.push_back(logits[static_cast<std::size_t>((plane * 256 + y) * 256 + x)]);
  CHECK(difference(wanted.values(), sampled).relative() < 1e-3);

  const auto iou = golden.tensor(name + ".iou_predictions").values(), got = masks.iou.values();
  REQUIRE(iou.size() == got.size());
  for (std::size_t i = 0; i < iou.size(); ++i) CHECK(std::fabs(iou[i] - got[i]) < 1e-3);

  const auto areas = golden.integers(name + ".mask_area");
  const Entry* bits = golden.find(name + ".masks");
  const auto [height, width] = std::pair{predictor.frame().height, predictor.frame().width};
  const i64 count = masks.logits.dim(0) * masks.logits.dim(1);
  for (i64 i = 0; i < count; ++i) {
    const Tensor mask = to(predictor.at_original_size(masks.logits.reshape({count, 256, 256})[i]), {});
    i64 area = 0;
    for (float v : mask.values()) area += v > 0;
    const i64 wanted_area = areas[static_cast<std::size_t>(i)];
    // A pixel at the threshold may fall to either side: IoU >= 0.999, or that much of the area where only
    // that is known.
    CHECK(std::fabs(static_cast<double>(area - wanted_area)) <= 1e-3 * static_cast<double>(wanted_area) + 1);
    if (bits)
      CHECK(iou_with_bits(mask, reinterpret_cast<const u8*>(bits->data) + i * height * ((width + 7) / 8)) >=
            0.999);
  }
}

}  // namespace

void check_sam(const std::string& file, const std::string& images) {
  CAPTURE(file);
  const Archive golden = open_archive(file);
  const auto& meta = golden.metadata();
  const sam::Sam& net = network(meta.at("variant"), meta.at("salt"), DType::f32);
  sam::Predictor predictor(net);
  const Tensor pixels = pixels_of(golden, images);
  predictor.set_image(pixels);

  if (golden.find("resized_rgb_tile_sum")) {
    const Tensor input = to(sam::preprocess(to(pixels, net.device()), predictor.frame()), {});
    std::vector<float> sums;
    for (i64 c = 0; c < 3; ++c)
      for (i64 tile = 0; tile < 1024; ++tile) {
        double sum = 0;
        for (i64 i = 0; i < 1024; ++i)
          sum += input.data<float>()[((tile / 32 * 32 + i / 32) * 1024 + tile % 32 * 32 + i % 32) * 3 + c];
        sums.push_back(static_cast<float>(sum));
      }
    // One unit of one pixel is 1/58 here; 1e-4 of the largest sum, about 0.2, is what summing in f32 may
    // differ by.
    CHECK(difference(golden.tensor("resized_rgb_tile_sum").values(), sums).relative() < 1e-4);
  }

  const Tensor wanted = golden.tensor("image_embedding");
  const i64 channel_step = 256 / wanted.dim(0), grid_step = 64 / wanted.dim(1);
  const auto embedding = predictor.embedding().values();
  std::vector<float> sampled;
  for (i64 c = 0; c < 256; c += channel_step)
    for (i64 y = 0; y < 64; y += grid_step)
      for (i64 x = 0; x < 64; x += grid_step)
        sampled.push_back(embedding[static_cast<std::size_t>((y * 64 + x) * 256 + c)]);
  CHECK(difference(wanted.values(), sampled).relative() < 1e-3);
  double mean = 0, square = 0;
  for (float v : embedding) {
    mean += v / static_cast<double>(embedding.size());
    square += static_cast<double>(v) * v / static_cast<double>(embedding.size());
  }
  const auto mean_std = golden.tensor("image_embedding_mean_std").values();
  CHECK(std::fabs(mean - mean_std[0]) < 1e-4);
  CHECK(std::fabs(std::sqrt(square - mean * mean) - mean_std[1]) < 1e-4);

  const auto cases = nlohmann::json::parse(meta.at("cases"));
  REQUIRE(!cases.empty());
  std::map<std::string, Tensor> answers;
  // A case may start from another's answer, so those that do come last.
  for (const bool dependent : {false, true})
    for (const auto& [name, description] : cases.items()) {
      if (description.contains("mask_from") != dependent) continue;
      const sam::Masks masks = predictor.predict(query_of(description, answers));
      answers[name] = masks.logits;
      check_case(golden, name, masks, predictor);
    }
}

void check_sam_bf16(const std::string& file, const std::string& images) {
  CAPTURE(file);
  const Archive golden = open_archive(file);
  const auto& meta = golden.metadata();
  const Tensor pixels = pixels_of(golden, images);
  const auto cases = nlohmann::json::parse(meta.at("cases"));
  struct Answers {
    Tensor embedding;
    std::map<std::string, Tensor> masks;  // {0, 1}, at the image's size
  };
  const auto answers = [&](DType dtype) {
    sam::Predictor predictor(network(meta.at("variant"), meta.at("salt"), dtype));
    predictor.set_image(pixels);
    Answers a{to(predictor.embedding(), {}), {}};
    for (const auto& [name, description] : cases.items()) {
      if (description.contains("mask_from")) continue;
      const sam::Masks masks = predictor.predict(query_of(description, {}));
      const i64 count = masks.logits.dim(0) * masks.logits.dim(1);
      for (i64 i = 0; i < count; ++i)
        a.masks[name + "." + std::to_string(i)] =
            to(predictor.at_original_size(masks.logits.reshape({count, 256, 256})[i]), {});
    }
    return a;
  };
  const Answers whole = answers(DType::f32), rounded = answers(DType::bf16);
  const bool mobile = meta.at("variant") == "vit_t";
  CHECK(difference(whole.embedding.values(), rounded.embedding.values()).relative() < 0.02);
  for (const auto& [name, mask] : whole.masks) {
    CAPTURE(name);
    const auto wanted = mask.values(), got = rounded.masks.at(name).values();
    i64 both = 0, either = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      both += wanted[i] > 0 && got[i] > 0;
      either += wanted[i] > 0 || got[i] > 0;
    }
    CHECK(static_cast<double>(both) >= (mobile ? 0.98 : 0.99) * static_cast<double>(either));
  }
}

void check_tiny_vit(const std::string& file) {
  CAPTURE(file);
  const Archive golden = open_archive(file);
  const std::string salt = golden.metadata().at("salt");
  tiny_vit::TinyVit net;
  Params params;
  net.collect(params);
  load(params, ProceduralSource(salt));
  to_device(params, testing::test_device());
  net.fold();
  const Tensor input = to(permute(procedural("input", {2, 3, 224, 224}, salt, {0.0, 2.0}), {0, 2, 3, 1}),
                          testing::test_device());
  const auto features = net(input.slice(0, 1));
  for (std::size_t s = 0; s < 4; ++s) {
    CAPTURE(s);
    const Tensor wanted = golden.tensor("eval.stage" + std::to_string(s));
    const Tensor got = permute(features[s], {0, 3, 1, 2});
    const i64 step = got.dim(1) / wanted.dim(1);
    std::vector<float> sampled;
    for (i64 c = 0; c < got.dim(1); c += step)
      for (float v : got[0][c].values()) sampled.push_back(v);
    CHECK(difference(wanted.values(), sampled).relative() < 1e-3);
  }
}

}  // namespace bp::test
