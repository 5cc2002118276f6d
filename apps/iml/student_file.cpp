#include "apps/iml/student_file.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <mutex>

#include "apps/iml/architectures.h"
#include "apps/iml/files.h"
#include "apps/iml/smaller_batch.h"
#include "weights/bytes.h"
#include "weights/load.h"

namespace bp {
namespace {

template <class T>
void read_number(const Archive& archive, const char* key, T& value) {
  const auto it = archive.metadata().find(key);
  if (it == archive.metadata().end()) return;
  const std::string& written = it->second;
  const auto [end, error] = std::from_chars(written.data(), written.data() + written.size(), value);
  require(error == std::errc() && end == written.data() + written.size(), archive.path(), ": ", key, " '",
          printable(written), "' is no number");
}

std::string shortest(double v) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, v);
  return error == std::errc() ? std::string(buffer, end) : std::to_string(v);
}

}  // namespace

void check_input_size(const std::string& what, i64 size) {
  require(size >= kLeastInput && size <= kLargestInput && size % 32 == 0, what, ": input size ", size,
          ", wanted a multiple of 32 from ", kLeastInput, " to ", kLargestInput);
}

Tensor student_input(const Tensor& image, i64 size) {
  static constexpr float kMean[3] = {255 * 0.485f, 255 * 0.456f, 255 * 0.406f};
  static constexpr float kStd[3] = {255 * 0.229f, 255 * 0.224f, 255 * 0.225f};
  return normalize_pad(resize_pil(image, size, size), size, size, kMean, kStd);
}

Tensor run_student(const student::Student& net, const Tensor& images, Device device) {
  const NoGrad no_grad;
  static std::mutex mutex;
  std::unique_lock turn(mutex, std::defer_lock);
  if (device != Device{}) turn.lock();
  try {
    return to(sigmoid(net(to(images, device))), {});
  } catch (const OutOfMemory& e) {
    const i64 size = images.dim(1);
    fail(e.what(), smaller_batch(device, images.dim(0), size, [&](i64 batch) {
           sigmoid(net(empty({batch, size, size, 3}, DType::f32, device)));
         }));
  }
}

std::map<std::string, std::string> student_metadata(const StudentConfig& config) {
  return {{"architecture", student_architecture(config.parts).name()},
          {"format", "pt"},  // asked for by the transformers library
          {"input_size", std::to_string(config.size)},
          {"threshold", shortest(config.threshold)}};
}

LoadedStudent load_student(const fs::path& path, bool own) {
  const ArchiveSource source(open_archive(path.string()));
  const Architecture architecture = recognise(source);
  require(architecture.family == Architecture::Family::student, path.string(), ": ", architecture.name(),
          ", wanted a student");
  StudentConfig config{.parts = student_parts(architecture)};
  read_number(source.archive(), "input_size", config.size);
  check_input_size(path.string(), config.size);
  read_number(source.archive(), "threshold", config.threshold);
  require(config.threshold >= 0 && config.threshold <= 1, path.string(), ": threshold ", config.threshold,
          ", wanted 0 to 1");
  LoadedStudent loaded{student::Student(config.parts), config};
  load(loaded.net.params(), source, {.own = own});
  return loaded;
}

void load_trunk(student::Student& net, const fs::path& path) {
  const ArchiveSource source(open_archive(path.string()));
  const Architecture architecture = recognise(source);
  std::string prefix;
  switch (architecture.family) {
    case Architecture::Family::tiny_vit:
      break;
    case Architecture::Family::student:
      prefix = "trunk.";
      break;
    case Architecture::Family::sam:
      require(architecture.variant == "vit_t", path.string(), ": ", architecture.name(),
              " has no TinyViT trunk, wanted tiny_vit_5m, MobileSAM or a student");
      prefix = "image_encoder.";
  }
  Params params;
  net.trunk.collect(params, prefix);
  load(params, source, {.own = true});
}

fs::path shipped_student() {
  constexpr const char* kName = "boxprompt_student.safetensors";
  if (const char* given = std::getenv("BOXPROMPT_WEIGHTS"); given && *given) {
    fs::path path = given;
    if (fs::is_directory(path)) path /= kName;
    require(fs::is_regular_file(path), path.string(), ": no such file (from BOXPROMPT_WEIGHTS)");
    return path;
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = program.parent_path().parent_path() / "share/boxprompt" / kName,
                 source = fs::path(BOXPROMPT_WEIGHTS_FOLDER) / kName;
  for (const fs::path& path : {installed, source})
    if (fs::is_regular_file(path, error)) return path;
  fail("no student's weights: give --weights, set BOXPROMPT_WEIGHTS, or put ", kName, " into ",
       installed.parent_path().string(), " or ", source.parent_path().string());
}

}  // namespace bp
