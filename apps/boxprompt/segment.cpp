// boxprompt segment: one image, one question.
#include <cmath>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/boxprompt/cli.h"
#include "apps/boxprompt/device_option.h"
#include "apps/iml/image.h"
#include "apps/iml/teacher.h"
#include "weights/safetensors.h"

namespace bp::app {
namespace {

struct Options {
  std::string image, weights, out, dump, device;
  DType dtype = DType::f32;
  std::vector<std::string> boxes, points;
  bool multimask = false, json = false;
};

// "1,2,3.5" with exactly `count` finite numbers.
std::vector<double> numbers(const std::string& option, const std::string& text_, std::size_t count) {
  std::vector<double> values;
  std::istringstream in(text_);
  for (std::string part; std::getline(in, part, ',');) {
    std::size_t used = 0;
    double v = 0;
    try {
      v = std::stod(part, &used);
    } catch (const std::exception&) {
      used = 0;
    }
    require(used > 0 && used == part.size() && std::isfinite(v), option, " ", text_, ": '", part,
            "' is no number");
    values.push_back(v);
  }
  require(values.size() == count, option, " ", text_, ": ", values.size(), " numbers, wanted ", count);
  return values;
}

sam::Query parse(const Options& o, i64 height, i64 width) {
  sam::Query query;
  if (o.multimask) query.wanted = sam::MaskSet::multi;
  for (const auto& b : o.boxes) {
    const auto v = numbers("--box", b, 4);
    const BoxSet set{.source = "--box " + b, .format = BoxFormat::csv, .images = {}};
    const ImageBoxes entry{.image = o.image, .source = set.source, .boxes = {{v[0], v[1], v[2], v[3], {}}}};
    std::vector<std::string> notes;
    const Box box = boxes_in_image(set, entry, width, height, notes).at(0);
    for (const auto& n : notes) std::cerr << "note: " << n << '\n';
    query.boxes.push_back({box.x0, box.y0, box.x1, box.y1});
  }
  std::vector<sam::Point> points;
  for (const auto& p : o.points) {
    const auto v = numbers("--point", p, 3);
    require(v[2] == 0 || v[2] == 1, "--point ", p, ": label ", v[2], ", wanted 1 (inside) or 0 (outside)");
    require(v[0] >= 0 && v[1] >= 0 && v[0] < static_cast<double>(width) && v[1] < static_cast<double>(height),
            "--point ", p, ": outside the image of ", width, "x", height);
    points.push_back({v[0], v[1], v[2] == 1});
  }
  require(!query.boxes.empty() || !points.empty(), "segment: give at least one --box or --point");
  require(points.empty() || query.boxes.size() <= 1, "segment: points go with one box, but there are ",
          query.boxes.size());
  if (!points.empty()) query.points.push_back(points);
  return query;
}

// mask.png, or mask_1.png, mask_2.png, mask_3.png with --multimask.
std::string numbered(const std::string& out, i64 m, bool multimask) {
  if (!multimask) return out;
  const std::filesystem::path path(out);
  return (path.parent_path() /
          (path.stem().string() + "_" + std::to_string(m + 1) + path.extension().string()))
      .string();
}

// In published layout, so that others can compare: image_embedding [1,256,64,64], low_res_logits
// [B,M,256,256], iou_predictions [B,M].
void dump(const std::string& path, const sam::Predictor& predictor, const sam::Masks& masks) {
  const std::vector<Tensor> tensors{permute(predictor.embedding(), {0, 3, 1, 2}), masks.logits, masks.iou};
  write_safetensors(path,
                    {{"image_embedding", FileDType::F32, tensors[0].shape()},
                     {"low_res_logits", FileDType::F32, tensors[1].shape()},
                     {"iou_predictions", FileDType::F32, tensors[2].shape()}},
                    {}, [&](std::size_t i) { return tensors[i]; });
}

void segment(const Options& o) {
  const Tensor image = load_image(o.image);
  const sam::Query query = parse(o, image.dim(0), image.dim(1));
  const auto net = load_sam(o.weights, parse_device(o.device), o.dtype);
  sam::Predictor predictor(*net);
  predictor.set_image(image);
  const sam::Masks masks = predictor.predict(query);
  if (!o.dump.empty()) dump(o.dump, predictor, masks);

  const i64 batch = masks.logits.dim(0), count = masks.logits.dim(1);
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  for (i64 m = 0; m < count; ++m) {
    // The masks of several boxes are united.
    Tensor united = zeros({image.dim(0), image.dim(1)}, DType::u8);
    nlohmann::ordered_json prompts = nlohmann::ordered_json::array();
    for (i64 b = 0; b < batch; ++b) {
      const Tensor logits = to(predictor.at_original_size(masks.logits[b][m]), {});
      const float* from = logits.data<float>();
      u8* to = united.data<u8>();
      i64 area = 0;
      for (i64 i = 0; i < united.numel(); ++i)
        if (from[i] > 0) {
          to[i] = 255;
          ++area;
        }
      prompts.push_back({{"predicted_iou", masks.iou[b][m].item()},
                         {"stability", sam::stability_score(logits)},
                         {"area", area}});
    }
    const std::string file = numbered(o.out, m, o.multimask);
    save_png(file, united);
    report.push_back({{"mask", file}, {"prompts", prompts}});
  }
  if (o.json) {
    const nlohmann::ordered_json whole{{"image", o.image},
                                       {"width", image.dim(1)},
                                       {"height", image.dim(0)},
                                       {"architecture", "sam_" + net->variant()},
                                       {"masks", report}};
    std::cout << whole.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    return;
  }
  for (const auto& mask : report) {
    std::cout << mask["mask"].get<std::string>() << ':';
    for (const auto& p : mask["prompts"])
      std::cout << "  IoU " << p["predicted_iou"].get<double>() << " predicted, stability "
                << p["stability"].get<double>() << ", " << p["area"].get<i64>() << " pixels";
    std::cout << '\n';
  }
}

}  // namespace

void add_segment(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("segment", "Turn boxes or points on one image into a mask");
  command->add_option("IMAGE", o->image, "JPEG, PNG, BMP or TIFF")->required();
  command->add_option("--weights", o->weights, "A SAM checkpoint: .pth or safetensors, any variant")
      ->required();
  command->add_option("--box", o->boxes, "x0,y0,x1,y1 in pixels; several boxes are united")
      ->allow_extra_args(false);
  command
      ->add_option("--point", o->points,
                   "x,y,label with label 1 inside, 0 outside; goes with one box or none")
      ->allow_extra_args(false);
  command->add_flag("--multimask", o->multimask, "Write SAM's three masks: OUT_1, OUT_2, OUT_3");
  command->add_option("-o,--out", o->out, "The mask to write, PNG, 255 inside")->required();
  command->add_option(
      "--dump", o->dump,
      "Also write image_embedding, low_res_logits and iou_predictions to this safetensors file");
  add_device_option(command, o->device);
  add_dtype_option(command, o->dtype, "SAM's image encoder");
  command->add_flag("--json", o->json, "Print one JSON object");
  command->footer(
      "Pixels are those a viewer shows: an EXIF orientation is applied first.\n"
      "Examples:\n"
      "  boxprompt segment photo.jpg --weights mobile_sam.pt --box 120,100,420,320 -o mask.png\n"
      "  boxprompt segment photo.jpg --weights sam_vit_h_4b8939.pth --point 300,200,1 --multimask -o "
      "mask.png");
  command->callback([o] { segment(*o); });
}

}  // namespace bp::app
