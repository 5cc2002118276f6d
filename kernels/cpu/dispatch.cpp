#include "kernels/cpu/dispatch.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/bf16_dot.h"
#include "kernels/cpu/features.h"

namespace bp::cpu {
#ifdef BP_HAS_avx512
namespace avx512 {
const k::Kernels& table();
}
#endif
#ifdef BP_HAS_avx2
namespace avx2 {
const k::Kernels& table();
}
#endif
#ifdef BP_HAS_generic
namespace generic {
const k::Kernels& table();
}
#endif

namespace {

struct Level {
  const char* name;
  bool runs;
  const k::Kernels& (*table)();
  bool dot = false, amx = false;  // bf16_dot.h
};

std::vector<Level> all_levels() {
  std::vector<Level> result;
#ifdef BP_HAS_avx512
  // One table: products and attention ask for what they multiply bf16 with.
  result.push_back({"amx", has_avx512_bf16() && has_amx(), avx512::table, true, true});
  result.push_back({"avx512_bf16", has_avx512_bf16(), avx512::table, true});
  result.push_back({"avx512", has_avx512(), avx512::table});
#endif
#ifdef BP_HAS_avx2
  result.push_back({"avx2", has_avx2(), avx2::table});
#endif
#ifdef BP_HAS_generic
  result.push_back({"generic", true, generic::table});
#endif
  return result;
}

Level choose() {
  const auto all = all_levels();
  if (const char* wanted = std::getenv("BOXPROMPT_CPU"); wanted && *wanted) {
    for (const Level& l : all) {
      if (std::strcmp(l.name, wanted) != 0) continue;
      if (!l.runs)
        throw std::runtime_error(std::string("BOXPROMPT_CPU: this processor cannot run ") + wanted);
      return l;
    }
    std::string known;
    for (const Level& l : all) known += std::string(known.empty() ? "" : ", ") + l.name;
    throw std::runtime_error(std::string("BOXPROMPT_CPU: unknown level ") + wanted + ", known: " + known);
  }
  for (const Level& l : all)
    if (l.runs) return l;
  throw std::runtime_error("this processor lacks AVX2 and FMA, which boxprompt needs");
}

const Level& chosen() {
  static const Level level = choose();
  return level;
}

std::string cpuinfo_line(const char* key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind(key, 0) == 0 && line.find(':') != std::string::npos) {
      const auto value = line.find_first_not_of(" \t", line.find(':') + 1);
      return value == std::string::npos ? "" : line.substr(value);
    }
  return "";
}

}  // namespace

const k::Kernels& kernels() {
  return chosen().table();
}

bool bf16_dot() {
  return chosen().dot;
}
bool bf16_amx() {
  return chosen().amx || amx::stand_in();
}

std::string level() {
  return chosen().name;
}

std::vector<std::string> levels() {
  std::vector<std::string> result;
  for (const Level& l : all_levels())
    if (l.runs) result.push_back(l.name);
  return result;
}

std::vector<std::string> features() {
  const std::string flags = " " + cpuinfo_line("flags") + cpuinfo_line("Features") + " ";
  std::vector<std::string> found;
  for (const char* name : {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl",
                           "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve"})
    if (flags.find(std::string(" ") + name + " ") != std::string::npos) found.push_back(name);
  return found;
}

std::string model_name() {
  return cpuinfo_line("model name");
}

}  // namespace bp::cpu
