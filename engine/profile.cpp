#include "engine/profile.h"

#include "engine/error.h"

namespace bp {
namespace {

thread_local Profile* running = nullptr;

}  // namespace

Profile::Profile(Device device, const k::Kernels& kernels) : device_(device), kernels_(kernels) {
  require(running == nullptr, "profile: one is running on this thread already");
  running = this;
}
Profile::~Profile() {
  running = nullptr;
}

int Profile::enter(const std::string& name) {
  const int before = current_;
  const std::string path = part().empty() || name.empty() ? part() + name : part() + "/" + name;
  const auto [it, fresh] = numbers_.emplace(path, static_cast<int>(names_.size()));
  if (fresh) names_.push_back(path);
  current_ = it->second;
  return before;
}

Scope::Scope(const char* name, i64 index) {
  if (running) before_ = running->enter(index < 0 ? name : text(name, ' ', index));
}
Scope::Scope(int part) {
  // By value: entering may move the names.
  if (running) before_ = running->enter(std::string(running->names_[static_cast<std::size_t>(part)]));
}
Scope::~Scope() {
  if (running && before_ >= 0) running->current_ = before_;
}

int current_part() {
  return running ? running->current_ : 0;
}

const k::Kernels* profiled_kernels(Device device) {
  return running && running->device_ == device ? &running->kernels_ : nullptr;
}

}  // namespace bp
