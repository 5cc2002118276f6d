#include <algorithm>
#include <cmath>
#include <map>

#include "apps/iml/architectures.h"
#include "kernels/threads.h"
#include "tests/weights_common.h"
#include "weights/load.h"
#include "weights/procedural.h"
#include "weights/safetensors.h"

using namespace bp;
using namespace weights_test;

namespace {

std::vector<std::string> names_of(const Params& params) {
  std::vector<std::string> names;
  for (const Param& p : params) names.push_back(p.name);
  return names;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

// The published table from the official names to those of Hugging Face's SamModel, in its order.
std::string to_hugging_face(std::string name) {
  const std::pair<const char*, const char*> kTable[] = {
      {"iou_prediction_head.layers.0", "iou_prediction_head.proj_in"},
      {"iou_prediction_head.layers.1", "iou_prediction_head.layers.0"},
      {"iou_prediction_head.layers.2", "iou_prediction_head.proj_out"},
      {"mask_decoder.output_upscaling.0", "mask_decoder.upscale_conv1"},
      {"mask_decoder.output_upscaling.1", "mask_decoder.upscale_layer_norm"},
      {"mask_decoder.output_upscaling.3", "mask_decoder.upscale_conv2"},
      {"mask_downscaling.0", "mask_embed.conv1"},
      {"mask_downscaling.1", "mask_embed.layer_norm1"},
      {"mask_downscaling.3", "mask_embed.conv2"},
      {"mask_downscaling.4", "mask_embed.layer_norm2"},
      {"mask_downscaling.6", "mask_embed.conv3"},
      {"point_embeddings", "point_embed"},
      {"pe_layer.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"},
      {"image_encoder", "vision_encoder"},
      {"neck.0", "neck.conv1"},
      {"neck.1", "neck.layer_norm1"},
      {"neck.2", "neck.conv2"},
      {"neck.3", "neck.layer_norm2"},
      {"patch_embed.proj", "patch_embed.projection"},
      {".norm", ".layer_norm"},
      {"blocks", "layers"},
  };
  for (const auto& [from, to] : kTable) replace_all(name, from, to);
  if (name.find("output_hypernetworks_mlps") != name.npos) {
    const std::pair<const char*, const char*> kLayers[] = {
        {"layers.0", "proj_in"}, {"layers.1", "layers.0"}, {"layers.2", "proj_out"}};
    for (const auto& [from, to] : kLayers)
      if (name.find(from) != name.npos) {
        replace_all(name, from, to);
        break;
      }
  }
  return name;
}

// timm moves a merging to the start of the next stage and spells some words out.
std::string to_timm(std::string name) {
  for (int stage = 0; stage < 3; ++stage)
    replace_all(name, text("layers.", stage, ".downsample"), text("stages.", stage + 1, ".downsample"));
  replace_all(name, "layers.", "stages.");
  replace_all(name, "patch_embed.seq.0", "patch_embed.conv1");
  replace_all(name, "patch_embed.seq.2", "patch_embed.conv2");
  replace_all(name, ".c.", ".conv.");
  return name;
}

// map_keys() of the names after `rename`, as pairs of published name and name in the file; sorted.
void check_round_trip(const std::string& architecture, std::string (*rename)(std::string),
                      const char* dialect) {
  std::vector<std::string> published = names_of(published_params(architecture_named(architecture))), files;
  for (const std::string& name : published) files.push_back(rename(name));
  const KeyMap map = map_keys(files);
  CHECK(map.dialect == dialect);
  CHECK(map.unused.empty());
  REQUIRE(map.files.size() == published.size());
  for (std::size_t i = 0; i < published.size(); ++i) {
    CAPTURE(published[i]);
    REQUIRE(map.files.count(published[i]) == 1);
    CHECK(map.files.at(published[i]) == files[i]);
  }
}

// A file of zeros with these names and shapes.
std::string write_file(const std::string& path, const std::vector<std::pair<std::string, Shape>>& tensors) {
  std::vector<PlannedTensor> plan;
  for (const auto& [name, shape] : tensors) plan.push_back({name, FileDType::F32, shape});
  write_safetensors(path, plan, {}, [&](std::size_t i) { return zeros(plan[i].shape); });
  return path;
}

// Four small parameters of every layout that changes.
struct SmallNet {
  Tensor bias, conv, depthwise, transpose;
  Params params() {
    return {{"a.bias", {3}, Layout::as_is, &bias},
            {"conv.weight", {2, 3, 1, 2}, Layout::conv, &conv},
            {"dw.weight", {4, 1, 3, 3}, Layout::depthwise, &depthwise},
            {"up.weight", {3, 2, 2, 2}, Layout::transpose2x2, &transpose}};
  }
};

}  // namespace

TEST_CASE("procedural weights are those that other programs compute from the names") {
  const auto check = [](const char* name, const Shape& shape, std::vector<float> wanted) {
    CAPTURE(name);
    const auto values = procedural(name, shape).values();
    CHECK(std::vector<float>(values.begin(), values.begin() + 3) == wanted);
  };
  check("image_encoder.pos_embed", {1, 64, 64, 768},
        {0.01716623269021511f, 0.11761634051799774f, 0.11969006061553955f});
  check("patch_embed.seq.0.c.weight", {32, 3, 3, 3},
        {-0.2895994484424591f, 0.11918008327484131f, -0.04951699450612068f});
  check("image_encoder.blocks.0.norm1.weight", {768},
        {0.8384768962860107f, 1.1779189109802246f, 0.9911677837371826f});
  check("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", {2, 128},
        {1.5782620906829834f, -0.1736990213394165f, -0.22228728234767914f});
  check("patch_embed.seq.0.bn.running_var", {32},
        {0.6391345858573914f, 0.6886601448059082f, 1.2946698665618896f});
}

TEST_CASE("procedural spreads follow the table, first match first") {
  const auto spread = [](const char* name, const Shape& shape, double mean, double scale) {
    const Spread s = procedural_spread(name, shape);
    CAPTURE(name);
    CHECK(s.mean == mean);
    CHECK(s.scale == scale);
  };
  spread("bn.running_mean", {4}, 0, 0.1);
  spread("bn.running_var", {4}, 1, 0.5);
  spread("blocks.0.attn.rel_pos_h", {27, 64}, 0, 0.2);
  spread("attn.attention_biases", {4, 49}, 0, 0.2);
  spread("prompt_encoder.point_embeddings.0.weight", {1, 256}, 0, 0.5);
  spread("mask_decoder.iou_token.weight", {1, 256}, 0, 0.5);
  spread("norm.weight", {8}, 1, 0.2);
  spread("norm.bias", {8}, 0, 0.1);
  spread("mlp.lin1.weight", {8, 12}, 0, std::sqrt(3.0 / 12));
  spread("neck.2.weight", {256, 256, 3, 3}, 0, std::sqrt(3.0 / (256 * 9)));
  spread("bn.num_batches_tracked", {}, 0, 0);
}

TEST_CASE("procedural weights depend on the salt, not on the number of threads") {
  const Shape shape{3, 100000};
  set_threads(1);
  const auto one = procedural("w", shape).values();
  set_threads(3);
  CHECK(procedural("w", shape).values() == one);
  set_threads(0);
  CHECK(procedural("w", shape, "salt").values() != one);
  const auto input = procedural("input", {2, 3}, "", {0, 2}).values();
  CHECK(*std::max_element(input.begin(), input.end()) > 1);
}

TEST_CASE("names of other projects mean the official ones") {
  check_round_trip("sam_vit_b", to_hugging_face, "Hugging Face");
  check_round_trip("sam_vit_h", to_hugging_face, "Hugging Face");
  check_round_trip("tiny_vit_5m", to_timm, "timm");
  const auto same = [](std::string name) { return name; };
  check_round_trip("sam_vit_l", same, "official");
  check_round_trip("sam_vit_t", same, "official");
  check_round_trip(
      "sam_vit_t", [](std::string n) { return "module." + n; }, "official");
  check_round_trip(
      "sam_vit_b", [](std::string n) { return "module.model." + n; }, "official");
  check_round_trip(
      "tiny_vit_5m", [](std::string n) { return "image_encoder." + n; }, "official");
}

TEST_CASE("names that no net needs are set apart") {
  const KeyMap sam =
      map_keys({"image_encoder.norm_head.weight", "image_encoder.head.bias", "pixel_mean",
                "image_encoder.layers.1.blocks.0.attn.attention_bias_idxs",
                "image_encoder.patch_embed.seq.0.bn.num_batches_tracked", "image_encoder.neck.0.weight"});
  CHECK(sam.unused.size() == 5);
  CHECK(sam.files.size() == 1);
  const KeyMap timm = map_keys({"stages.0.blocks.0.conv1.conv.weight", "head.norm.weight", "head.fc.bias"});
  CHECK(timm.unused == std::vector<std::string>{"head.norm.weight", "head.fc.bias"});
  CHECK(timm.files.begin()->first == "layers.0.blocks.0.conv1.c.weight");

  const std::string copy = "shared_image_embedding.positional_embedding",
                    shared = "prompt_encoder.shared_embedding.positional_embedding",
                    encoder = "vision_encoder.pos_embed",
                    matrix = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix";
  CHECK(map_keys({copy, encoder}).files.at(matrix) == copy);
  CHECK(map_keys({copy, shared, encoder}).files.at(matrix) == shared);
  CHECK(map_keys({copy, shared, encoder}).unused == std::vector<std::string>{copy});
  CHECK_CONTAINS(error_of([] {
                   map_keys({"stages.0.blocks.0.conv1.c.bias", "stages.0.blocks.0.conv1.conv.bias"});
                 }),
                 "both mean layers.0.blocks.0.conv1.c.bias");
}

TEST_CASE("the architecture is told from names and shapes") {
  const Folder folder;
  const auto found = [&](const std::vector<std::pair<std::string, Shape>>& tensors) {
    return recognise(ArchiveSource(open_archive(write_file(folder / "x", tensors)))).name();
  };
  CHECK(found({{"image_encoder.patch_embed.proj.weight", {768, 3, 16, 16}}}) == "sam_vit_b");
  CHECK(found({{"vision_encoder.patch_embed.projection.weight", {1024, 3, 16, 16}}}) == "sam_vit_l");
  CHECK(found({{"module.image_encoder.patch_embed.proj.weight", {1280, 3, 16, 16}}}) == "sam_vit_h");
  const auto trunk = [](const std::string& prefix, i64 third) {
    return std::vector<std::pair<std::string, Shape>>{
        {prefix + "patch_embed.seq.0.c.weight", {32, 3, 3, 3}},
        {prefix + "patch_embed.seq.2.c.weight", {64, 32, 3, 3}},
        {prefix + "layers.1.blocks.0.local_conv.c.weight", {128, 1, 3, 3}},
        {prefix + "layers.2.blocks.0.local_conv.c.weight", {third, 1, 3, 3}},
        {prefix + "layers.3.blocks.0.local_conv.c.weight", {320, 1, 3, 3}}};
  };
  CHECK(found(trunk("", 160)) == "tiny_vit_5m");
  CHECK(found(trunk("image_encoder.", 160)) == "tiny_vit_5m");
  auto mobile = trunk("image_encoder.", 160);
  mobile.push_back({"mask_decoder.iou_token.weight", {1, 256}});
  CHECK(found(mobile) == "sam_vit_t");

  const auto refused = [&](const std::vector<std::pair<std::string, Shape>>& tensors) {
    return error_of([&] { found(tensors); });
  };
  CHECK_CONTAINS(refused(trunk("", 256)), "widths [64,128,256,320]");
  CHECK_CONTAINS(refused({{"image_encoder.patch_embed.proj.weight", {384, 3, 16, 16}}}), "[384,3,16,16]");
  CHECK_CONTAINS(
      refused({{"conv1.weight", {64, 3, 7, 7}}, {"fc.bias", {10}}}),
      "2 tensors, the first are conv1.weight [64,3,7,7], fc.bias [10]; known are sam_vit_b, sam_vit_l");
  for (const Architecture& a : known_architectures()) CHECK(architecture_named(a.name()) == a);
  CHECK_CONTAINS(error_of([] { architecture_named("sam_vit_x"); }), "known are sam_vit_b");
}

TEST_CASE("every known architecture has the parameters that were published") {
  const std::map<std::string, i64> published = {
      {"sam_vit_b", 93735472}, {"sam_vit_l", 312342832}, {"sam_vit_h", 641090608}};
  for (const auto& [name, wanted] : published) {
    i64 values = 0;
    for (const Param& p : published_params(architecture_named(name))) values += p.shape.numel();
    CAPTURE(name);
    CHECK(values == wanted + 256);  // the positional matrix is a buffer
  }
}

TEST_CASE("load and save: our layouts, types, shared memory") {
  const Folder folder;
  SmallNet net, again;
  load(net.params(), ProceduralSource("s"));
  CHECK(net.conv.shape() == Shape{2, 1, 2, 3});
  CHECK(net.depthwise.shape() == Shape{3, 3, 4});
  CHECK(net.transpose.shape() == Shape{2, 2, 2, 3});
  const auto published = procedural("conv.weight", {2, 3, 1, 2}, "s").values();
  CHECK(net.conv.values()[1] == published[2]);  // [0,0,0,1] of ours is [0,1,0,0] there

  const std::string path = folder / "net.safetensors";
  save(net.params(), path, DType::f32, {{"k", "v"}});
  const ArchiveSource file(open_archive(path));
  CHECK(file.archive().metadata().at("k") == "v");
  CHECK(file.archive().tensor("conv.weight").values() == published);
  load(again.params(), file);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(again.params()[i].tensor->values() == net.params()[i].tensor->values());
  CHECK(again.bias.raw() == file.archive().at("a.bias").data);
  load(again.params(), file, {.own = true});
  CHECK(again.bias.raw() != file.archive().at("a.bias").data);
  CHECK(again.bias.values() == net.bias.values());

  load(again.params(), file, {.dtype = DType::bf16});
  CHECK(again.conv.dtype() == DType::bf16);
  CHECK(again.conv.values()[1] == to_f32(to_bf16(published[2])));
  save(again.params(), folder / "half", DType::bf16);
  const ArchiveSource half(open_archive(folder / "half"));
  CHECK(half.find("conv.weight")->dtype == FileDType::BF16);
  load(net.params(), half);
  CHECK(net.conv.dtype() == DType::f32);
  CHECK(net.conv.values() == again.conv.values());

  transfer(net.params(), ProceduralSource("s"), folder / "copy", DType::f32, {{"k", "v"}});
  CHECK(read_bytes(folder / "copy") == read_bytes(path));
}

TEST_CASE("weights that were copied, cast or laid out anew do not stay resident beside their copies") {
  const Folder folder;
  constexpr std::size_t kEach = 8 << 20, kAround = kEach / 4 * 3;  // a neighbour may bring in 2 MiB at once
  Tensor matrix = full({2048, 1024}, 1), conv = full({2048, 2, 2, 256}, 2);
  const Params net{{"matrix", {2048, 1024}, Layout::as_is, &matrix},
                   {"conv", {2048, 256, 2, 2}, Layout::conv, &conv}};
  save(net, folder / "x");
  const ArchiveSource file(open_archive(folder / "x"));
  const auto resident = [&] { return resident_around(file.archive().at("matrix").data).value_or(0); };

  load(net, file);
  CHECK(matrix.values()[5] == 1);
  if (resident() < kEach) {
    MESSAGE("the system does not tell what is resident: not tested");
    return;
  }
  CHECK(resident() < kEach + kAround);  // the convolution's weights lie in another order now
  to_dtype(net, DType::bf16);
  CHECK(resident() < kAround);
  CHECK(matrix.values()[5] == 1);
  load(net, file, {.own = true});
  CHECK(resident() < kAround);
  load(net, file, {.dtype = DType::bf16});
  CHECK(resident() < kAround);
  CHECK(conv.values()[5] == 2);
}

TEST_CASE("load tells all mismatches at once and sets nothing") {
  const Folder folder;
  const auto tell = [&](const std::vector<std::pair<std::string, Shape>>& tensors) {
    SmallNet net;
    const ArchiveSource source(open_archive(write_file(folder / "x", tensors)));
    const std::string message = error_of([&] { load(net.params(), source); });
    CHECK_FALSE(net.bias.defined());
    return message;
  };
  CHECK_CONTAINS(
      tell({{"a.bias", {3}}, {"conv.weight", {2, 3, 2, 1}}, {"up.weight", {2, 3, 2, 2}}, {"more", {1}}}),
      "x: of 4 parameters 1 missing: dw.weight; 2 of wrong shape: conv.weight [2,3,2,1] wanted [2,3,1,2], "
      "up.weight [2,3,2,2] wanted [3,2,2,2]");
  const ArchiveSource source(open_archive(folder / "x"));
  CHECK(source.left_over(SmallNet().params()) == std::vector<std::string>{"more"});

  Params many;
  Tensor t;
  for (int i = 0; i < 50; ++i) many.push_back({text("p", i), {1}, Layout::as_is, &t});
  const std::string message = compare(many, source).summary();
  CHECK_CONTAINS(message, "50 missing: p0, p1, ");
  CHECK_CONTAINS(message, "p19 and 30 more");
}

TEST_CASE("load refuses parameters that are no floating-point numbers") {
  const Folder folder;
  write_safetensors(folder / "x", {{"a", FileDType::I32, {1}}}, {},
                    [](std::size_t) { return empty({1}, DType::i32); });
  Tensor t;
  const ArchiveSource source(open_archive(folder / "x"));
  CHECK_CONTAINS(error_of([&] { load({{"a", {1}, Layout::as_is, &t}}, source); }), "a is I32, wanted F32");
}
