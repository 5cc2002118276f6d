// What a thread asks of a device, by part of the network: for profiles (boxprompt-bench --net).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "engine/device.h"

namespace bp {

// While it lives, this thread's ops on the device call `kernels` instead of the device's own, and the names
// of scopes are kept. One at a time per thread. Without one an op and a scope pay a branch each.
class Profile {
 public:
  Profile(Device device, const k::Kernels& kernels);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  // Where the thread is: the names of all open scopes, "trunk/stage 1/block 0", or "".
  const std::string& part() const { return names_[static_cast<std::size_t>(current_)]; }

 private:
  friend class Scope;
  friend int current_part();
  friend const k::Kernels* profiled_kernels(Device);
  int enter(const std::string& name);  // the part before

  Device device_;
  const k::Kernels& kernels_;
  std::vector<std::string> names_{""};
  std::map<std::string, int> numbers_{{"", 0}};
  int current_ = 0;
};

// Names what this thread does until its end. Scopes nest.
class Scope {
 public:
  explicit Scope(const char* name, i64 index = -1);  // "block 3" with an index
  explicit Scope(int part);                          // of current_part(), inside of what is open now
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  int before_ = -1;  // below 0: nothing to go back to
};

// f() in a scope of that name.
template <class F>
auto within(const char* name, F&& f) {
  const Scope scope(name);
  return f();
}

// A number for Scope, so that a backward runs in the part that recorded it; 0 without a profile.
int current_part();

const k::Kernels* profiled_kernels(Device device);  // or null

}  // namespace bp
