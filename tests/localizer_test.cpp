// The student as a file, its trunk from others' files, and maps at an image's own size.
#include "apps/iml/localizer.h"

#include <cmath>
#include <cstdlib>

#include "apps/iml/architectures.h"
#include "tests/weights_common.h"
#include "weights/load.h"
#include "weights/procedural.h"
#include "weights/safetensors.h"

using namespace bp;
using namespace weights_test;

namespace {

student::Student procedural_student(const fusion::Parts& parts = {}) {
  student::Student net(parts);
  load(net.params(), ProceduralSource());
  return net;
}

std::string save_student(const std::string& path, const StudentConfig& config = {}, DType dtype = DType::f32,
                         std::map<std::string, std::string> more = {}) {
  student::Student net = procedural_student(config.parts);
  for (const auto& [key, value] : student_metadata(config)) more.emplace(key, value);
  save(net.params(), path, dtype, more);
  return path;
}

// A picture without symmetries.
Tensor picture(i64 height, i64 width, std::uint32_t seed = 1) {
  Tensor image = empty({height, width, 3}, DType::u8);
  for (i64 i = 0; i < image.numel(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    const double wave = 90 * std::sin(static_cast<double>(i % (3 * width)) / 37.0 +
                                      static_cast<double>(i / (3 * width)) / 11.0);
    image.data<u8>()[i] = static_cast<u8>(128 + wave + static_cast<double>(seed >> 27));
  }
  return image;
}

}  // namespace

TEST_CASE("a student's file says what it is: parts, input size, threshold") {
  const Folder folder;
  for (const fusion::Parts& parts : {fusion::Parts{true, true}, fusion::Parts{false, true},
                                     fusion::Parts{true, false}, fusion::Parts{false, false}}) {
    const std::string path = save_student(folder / "s", {parts, 320, 0.17});
    const LoadedStudent loaded = load_student(path);
    CHECK(loaded.config.parts.gate == parts.gate);
    CHECK(loaded.config.parts.memory == parts.memory);
    CHECK(loaded.config.size == 320);
    CHECK(loaded.config.threshold == 0.17);
    const ArchiveSource source(open_archive(path));
    CHECK(recognise(source) == student_architecture(parts));
    CHECK(source.archive().metadata().at("architecture") == student_architecture(parts).name());
    CHECK(architecture_named(student_architecture(parts).name()) == student_architecture(parts));
    CHECK(source.left_over(published_params(recognise(source))).empty());
  }
}

TEST_CASE("a student in bf16 loads into an f32 net, its statistics were never rounded") {
  const Folder folder;
  const std::string path = save_student(folder / "s", {}, DType::bf16);
  CHECK(open_archive(path).at("trunk.patch_embed.seq.0.c.weight").dtype == FileDType::BF16);
  LoadedStudent loaded = load_student(path);
  student::Student exact = procedural_student();
  const Params got = loaded.net.params(), wanted = exact.params();
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(got[i].name);
    REQUIRE(got[i].tensor->dtype() == DType::f32);
    if (!got[i].trained) CHECK(got[i].tensor->values() == wanted[i].tensor->values());
  }
  const Tensor image = picture(40, 60);
  const auto a = Localizer(path).map(image).values(), b = Localizer(exact, {}).map(image).values();
  double difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference = std::max(difference, static_cast<double>(std::fabs(a[i] - b[i])));
  CHECK(difference > 0);
  CHECK(difference < 0.1);
}

TEST_CASE("what is no student, or says impossible things of itself, is refused in one line") {
  const Folder folder;
  const auto refused = [&](std::map<std::string, std::string> metadata) {
    return error_of([&] { load_student(save_student(folder / "s", {}, DType::f32, std::move(metadata))); });
  };
  CHECK_CONTAINS(refused({{"input_size", "225"}}), "s: input size 225, wanted a multiple of 32");
  CHECK_CONTAINS(refused({{"input_size", "99999999999999999999"}}), "is no number");
  CHECK_CONTAINS(refused({{"input_size", "224x"}}), "input_size '224x' is no number");
  CHECK_CONTAINS(refused({{"threshold", "1.5"}}), "threshold 1.5, wanted 0 to 1");
  CHECK_CONTAINS(refused({{"threshold", "nan"}}), "wanted 0 to 1");
  const Params trunk = published_params({Architecture::Family::tiny_vit, "5m"});
  transfer(trunk, ProceduralSource(), folder / "trunk", DType::f32, {});
  CHECK_CONTAINS(error_of([&] { load_student(folder / "trunk"); }), "trunk: tiny_vit_5m, wanted a student");

  student::Student net = procedural_student();
  Params some = net.params();
  some.pop_back();
  save(some, folder / "part");
  CHECK_CONTAINS(error_of([&] { load_student(folder / "part"); }), "1 missing: fusion.refine.bias");
  CHECK_CONTAINS(error_of([&] { load_student(folder / "none"); }), "none");
}

TEST_CASE("a trunk loads from Microsoft's, timm's and MobileSAM's names, into memory of its own") {
  const Folder folder;
  const Params official = published_params({Architecture::Family::tiny_vit, "5m"});
  const auto replaced = [](std::string name, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = name.find(from, at)) != name.npos; at += to.size())
      name.replace(at, from.size(), to);
    return name;
  };
  const auto timm = [&](std::string name) {
    for (int s = 0; s < 3; ++s)
      name = replaced(name, text("layers.", s, ".downsample"), text("stages.", s + 1, ".downsample"));
    name = replaced(replaced(name, "layers.", "stages."), ".c.", ".conv.");
    return replaced(replaced(name, "patch_embed.seq.0", "patch_embed.conv1"), "patch_embed.seq.2",
                    "patch_embed.conv2");
  };
  // Values by the official name, so that all files hold the same network.
  const auto file = [&](const std::string& path, const auto& rename, const std::vector<PlannedTensor>& more) {
    std::vector<PlannedTensor> plan;
    for (const Param& p : official) plan.push_back({rename(p.name), FileDType::F32, p.shape});
    plan.insert(plan.end(), more.begin(), more.end());
    write_safetensors(path, plan, {}, [&](std::size_t i) {
      return i < official.size() ? procedural(official[i].name, official[i].shape) : zeros(plan[i].shape);
    });
    return path;
  };
  const auto same = [](const std::string& name) { return name; };
  const auto mobile = [](const std::string& name) { return "image_encoder." + name; };
  const std::vector<std::string> files = {
      file(folder / "microsoft", same, {{"head.bias", FileDType::F32, {1000}}}),
      file(folder / "timm", timm, {{"head.fc.bias", FileDType::F32, {1000}}}),
      file(folder / "encoder", mobile, {}),
      file(folder / "mobile", mobile, {{"mask_decoder.iou_token.weight", FileDType::F32, {1, 256}}})};
  for (const std::string& path : files) {
    CAPTURE(path);
    student::Student net;
    load_trunk(net, path);
    Params params;
    net.trunk.collect(params);
    for (const Param& p : params)
      CHECK(to_published(*p.tensor, p.shape, p.layout).values() == procedural(p.name, p.shape).values());
    CHECK_FALSE(net.fusion.refine.weight.defined());
    net.trunk.stem1.mean.data<float>()[0] = 5;  // a mapped file could not be written
  }
  student::Student net;
  load_trunk(net, save_student(folder / "student"));
  CHECK(net.trunk.stem1.gamma.values() == procedural_student().trunk.stem1.gamma.values());

  transfer(published_params(architecture_named("sam_vit_t")), ProceduralSource(), folder / "sam_vit_t",
           DType::bf16, {});
  load_trunk(net, folder / "sam_vit_t");
  write_safetensors(folder / "b",
                    {{"image_encoder.patch_embed.proj.weight", FileDType::F32, {768, 3, 16, 16}}}, {},
                    [](std::size_t) {
                      return zeros({768, 3, 16, 16});
                    });
  CHECK_CONTAINS(error_of([&] { load_trunk(net, folder / "b"); }), "sam_vit_b has no TinyViT trunk");
}

TEST_CASE("an image is squeezed whole and normalised as ImageNet's are") {
  const Tensor image = full({50, 90, 3}, 200, DType::u8);
  const Tensor input = student_input(image, 64);
  CHECK(input.shape() == Shape{1, 64, 64, 3});
  for (const i64 pixel : {i64{0}, i64{64 * 64 - 1}}) {
    const float* p = input.data<float>() + 3 * pixel;
    CHECK(p[0] == doctest::Approx((200 / 255.0 - 0.485) / 0.229).epsilon(1e-5));
    CHECK(p[1] == doctest::Approx((200 / 255.0 - 0.456) / 0.224).epsilon(1e-5));
    CHECK(p[2] == doctest::Approx((200 / 255.0 - 0.406) / 0.225).epsilon(1e-5));
  }
}

TEST_CASE("maps have the images' sizes and do not depend on the batch") {
  Localizer localizer(procedural_student(), {.size = 64});
  const std::vector<Tensor> images = {picture(40, 61, 1), picture(1, 9, 2), picture(130, 70, 3)};
  const auto maps = localizer.maps(images);
  REQUIRE(maps.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(maps[i].shape() == Shape{images[i].dim(0), images[i].dim(1)});
    CHECK(maps[i].values() == localizer.map(images[i]).values());
    for (const float p : maps[i].values()) CHECK((p >= 0 && p <= 1));
  }
  // The map of a picture of the network's own size is its answer.
  const Tensor own = picture(64, 64, 4);
  CHECK(localizer.map(own).values() == localizer.squeezed(std::span(&own, 1)).values());
  CHECK_CONTAINS(error_of([&] { localizer.set_size(100); }), "input size 100");
  localizer.set_size(96);
  CHECK(localizer.squeezed(std::span(&own, 1)).shape() == Shape{1, 96, 96});
}

TEST_CASE("a net with a broken number says so instead of drawing it") {
  student::Student net = procedural_student();
  net.fusion.refine.bias = full({1}, NAN);
  const Localizer localizer(net, {.size = 32});
  CHECK_CONTAINS(error_of([&] { localizer.map(picture(8, 8)); }), "NaN");
}

TEST_CASE("the shipped weights are looked for where the environment says") {
  const Folder folder;
  const std::string path = folder / "boxprompt_student.safetensors";
  setenv("BOXPROMPT_WEIGHTS", path.c_str(), 1);
  CHECK_CONTAINS(error_of([] { shipped_student(); }), "no such file (from BOXPROMPT_WEIGHTS)");
  save_student(path);
  CHECK(shipped_student() == path);
  setenv("BOXPROMPT_WEIGHTS", std::filesystem::path(path).parent_path().c_str(), 1);
  CHECK(shipped_student() == path);
  unsetenv("BOXPROMPT_WEIGHTS");
}

TEST_CASE("windows cover an axis at equal steps with the overlap asked for") {
  CHECK(window_starts(100, 100, 0.5) == std::vector<i64>{0});
  CHECK(window_starts(1, 448, 0.5) == std::vector<i64>{0});
  CHECK(window_starts(101, 100, 0.5) == std::vector<i64>{0, 1});
  CHECK(window_starts(200, 100, 0.5) == std::vector<i64>{0, 50, 100});
  CHECK(window_starts(200, 100, 0) == std::vector<i64>{0, 100});
  for (const i64 length : {101, 149, 151, 377, 1000})
    for (const double overlap : {0.0, 0.25, 0.5, 0.9}) {
      const auto starts = window_starts(length, 100, overlap);
      CHECK(starts.front() == 0);
      CHECK(starts.back() == length - 100);
      for (std::size_t i = 1; i < starts.size(); ++i) {
        CHECK(starts[i] > starts[i - 1]);
        CHECK(static_cast<double>(starts[i] - starts[i - 1]) <= 100 * (1 - overlap) + 1);
      }
    }
}

TEST_CASE("tiles: one window is the plain map, constants stay constant, every pixel is covered") {
  const Localizer localizer(procedural_student(), {.size = 32});
  const Tensor small = picture(40, 64);
  CHECK(tiled_map(localizer, small).values() == localizer.map(small).values());  // 64 is twice the size
  CHECK(tiled_map(localizer, small, {.side = 30}).values() != localizer.map(small).values());

  // A network that says the same of everything says it of all pixels.
  student::Student constant = procedural_student();
  constant.fusion.refine.weight = zeros(constant.fusion.refine.weight.shape());
  constant.fusion.refine.bias = full({1}, 1.25f);
  const Localizer same(constant, {.size = 32});
  for (const auto& [height, width] : {std::pair<i64, i64>{1, 200}, {200, 1}, {33, 31}, {77, 131}, {3, 65}})
    for (const double overlap : {0.0, 0.5, 0.8}) {
      CAPTURE(height);
      CAPTURE(width);
      const Tensor map =
          tiled_map(same, picture(height, width), {.side = 30, .overlap = overlap, .batch = 3});
      REQUIRE(map.shape() == Shape{height, width});
      for (const float p : map.values())
        REQUIRE(p == doctest::Approx(1 / (1 + std::exp(-1.25))).epsilon(1e-5));
    }
}

TEST_CASE("tiles: the middle of a window is what the network says of that window, with the whole image") {
  const Localizer localizer(procedural_student(), {.size = 32});
  const Tensor image = picture(64, 192, 9);
  const Tensor tiled = tiled_map(localizer, image, {.side = 64, .overlap = 0, .batch = 2});
  Tensor window = empty({64, 64, 3}, DType::u8);
  for (i64 y = 0; y < 64; ++y)
    for (i64 i = 0; i < 64 * 3; ++i)
      window.data<u8>()[y * 64 * 3 + i] = image.data<u8>()[(y * 192 + 64) * 3 + i];
  const Tensor alone = localizer.map(window), whole = localizer.map(image);
  for (const i64 y : {i64{0}, i64{31}, i64{63}})
    for (const i64 x : {i64{0}, i64{32}, i64{63}})
      CHECK(tiled.data<float>()[y * 192 + 64 + x] ==
            doctest::Approx(0.5 * static_cast<double>(alone.data<float>()[y * 64 + x]) +
                            0.5 * static_cast<double>(whole.data<float>()[y * 192 + 64 + x]))
                .epsilon(1e-4));
  const auto batched = tiled_map(localizer, image, {.side = 50, .batch = 5}).values();
  CHECK(batched == tiled_map(localizer, image, {.side = 50, .batch = 1}).values());
  CHECK_CONTAINS(error_of([&] { tiled_map(localizer, image, {.side = 8, .overlap = 1}); }), "overlap 1");
}
