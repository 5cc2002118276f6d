// Parity with the published modules: the small recordings in tests/golden always, and whatever the folder
// named by the environment variable BOXPROMPT_GOLDEN holds. On any device (test_device.h).
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/memory_case.h"
#include "tests/sam_case.h"
#include "tests/test_device.h"
#include "tests/trunk_training_case.h"

namespace fs = std::filesystem;

namespace {

std::vector<std::string> files(const fs::path& folder, const std::string& prefix) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors" && entry.path().filename().string().rfind(prefix, 0) == 0)
      found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

const fs::path kOwn = fs::path(BOXPROMPT_SOURCE_DIR) / "tests/golden";

fs::path given() {
  const char* folder = std::getenv("BOXPROMPT_GOLDEN");
  return folder ? folder : "";
}

}  // namespace

TEST_CASE("own recordings: SAM") {
  const auto found = files(kOwn, "sam_");
  REQUIRE(found.size() >= 4);
  for (const auto& file : found)
    bp::test::check_sam(file, std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples");
}

// ViT-L and ViT-H are ViT-B with more and wider blocks; on the processor, which gains nothing by bf16 yet,
// they would double the time of this test.
TEST_CASE("own recordings: SAM in bf16 beside f32") {
  const bool on_host = bp::testing::test_device() == bp::Device{};
  int checked = 0;
  for (const auto& file : files(kOwn, "sam_")) {
    if (on_host && (file.find("vit_l") != std::string::npos || file.find("vit_h") != std::string::npos))
      continue;
    bp::test::check_sam_bf16(file, std::string(BOXPROMPT_SOURCE_DIR) + "/apps/samples");
    ++checked;
  }
  CHECK(checked >= 2);
}

// In a process of its own: what other tests hold would count.
TEST_CASE("peak memory on a device: ViT-H in bf16, a training step of 32 images" * doctest::skip()) {
  const bp::Device device = bp::testing::test_device();
  REQUIRE(device != bp::Device{});
  const std::size_t segmenting = bp::test::peak_of_vit_h(device),
                    training = bp::test::peak_of_step(device, 32);
  MESSAGE("peak bytes: ViT-H in bf16 ", segmenting, ", training step of 32 images ", training);
  CHECK(segmenting < std::size_t{3'000'000'000});
}

TEST_CASE("own recordings: TinyViT") {
  const auto found = files(kOwn, "tinyvit_");
  REQUIRE(found.size() >= 1);
  for (const auto& file : found) bp::test::check_tiny_vit(file);
}

TEST_CASE("own recordings: TinyViT in training") {
  for (const auto& file : files(kOwn, "tinyvit_")) bp::test::check_tiny_vit_training(file);
}

TEST_CASE("recordings of BOXPROMPT_GOLDEN") {
  if (given().empty()) {
    MESSAGE("BOXPROMPT_GOLDEN is not set: only the recordings in tests/golden were checked");
    return;
  }
  const auto sam = files(given(), "sam_"), trunk = files(given(), "tinyvit_");
  REQUIRE(sam.size() + trunk.size() > 0);
  for (const auto& file : sam) bp::test::check_sam(file, given().string());
  for (const auto& file : trunk) {
    bp::test::check_tiny_vit(file);
    bp::test::check_tiny_vit_training(file);
  }
}
