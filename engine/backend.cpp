#include "engine/backend.h"

#include <dlfcn.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "engine/allocator.h"
#include "engine/error.h"
#include "kernels/simt/backend.h"

namespace bp {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "libboxprompt_cuda.so";

struct Found {
  const k::Backend* backend = nullptr;
  std::string why{};  // there is none, in one line
};

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// `file` has a folder in its name, or is looked for on the loader's path.
Found open_library(const std::string& file) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return {nullptr, first_line(dlerror())};
  const auto entry = reinterpret_cast<decltype(&bp_backend)>(dlsym(library, "bp_backend"));
  if (!entry) return {nullptr, file + ": not a backend of boxprompt"};
  const char* why = "no reason given";
  const k::Backend* backend = entry(&why);
  if (!backend) return {nullptr, first_line(why)};
  if (backend->version != k::kBackendVersion)
    return {nullptr, text(file, ": of backend version ", backend->version, ", this program wants ",
                          k::kBackendVersion)};
  if (backend->devices < 1) return {nullptr, file + ": found no device"};
  return {backend};
}

Found find_cuda() {
  if (const char* file = std::getenv("BOXPROMPT_CUDA_LIBRARY"); file && *file) return open_library(file);
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& file : {folder / kLibrary, folder / ".." / "lib" / kLibrary})
    if (fs::exists(file, error)) return open_library(file.lexically_normal());
  Found found = open_library(kLibrary);
  if (!found.backend && found.why.find(kLibrary) == 0 && found.why.find("No such file") != std::string::npos)
    found.why = text("no ", kLibrary, " beside the program, in ../lib or on the loader's path");
  return found;
}

const Found& found(Device::Type type) {
  if (type == Device::Type::simt) {
    static const Found simt{simt::backend()};
    return simt;
  }
  static const Found cuda = find_cuda();
  return cuda;
}

std::array<std::atomic<const k::Backend*>, 3> replaced{};

const k::Backend* backend_of(Device::Type type) {
  const k::Backend* other = replaced[static_cast<std::size_t>(type)].load(std::memory_order_acquire);
  return other ? other : found(type).backend;
}

struct Selected {
  const k::Backend* backend = nullptr;
  int index = 0;
};
thread_local std::array<Selected, 3> selected;

struct Other {
  Device device{};
  const k::Backend* backend = nullptr;
};
thread_local Other substitute;

}  // namespace

const k::Backend& backend(Device device) {
  if (substitute.backend && substitute.device == device) return *substitute.backend;
  require(device.type != Device::Type::cpu, "backend: the processor has none");
  const k::Backend* b = backend_of(device.type);
  if (!b) fail("device ", device, ": ", found(device.type).why);
  Selected& s = selected[static_cast<std::size_t>(device.type)];
  if (s.backend != b || s.index != device.index) {
    require(device.index >= 0 && device.index < b->devices, "device ", device, ": there ",
            b->devices == 1 ? "is only one" : text("are ", b->devices), ", counted from 0");
    b->select(device.index);
    s = {b, device.index};
  }
  return *b;
}

Substitute::Substitute(Device device, const k::Backend& backend) {
  substitute = {device, &backend};
}
Substitute::~Substitute() {
  substitute = {};
}

int device_count(Device::Type type) {
  if (type == Device::Type::cpu) return 1;
  const k::Backend* b = backend_of(type);
  return b ? b->devices : 0;
}

std::string why_no_cuda() {
  return backend_of(Device::Type::cuda) ? "" : found(Device::Type::cuda).why;
}

void use_backend(Device::Type type, const k::Backend* backend) {
  for (int i = 0; i < device_count(type); ++i) release_cached({type, i});
  replaced[static_cast<std::size_t>(type)].store(backend, std::memory_order_release);
}

}  // namespace bp
