#include "bench/place.h"

#include <unistd.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "engine/backend.h"
#include "engine/error.h"
#include "kernels/memory.h"
#include "kernels/threads.h"

namespace bp::bench {
namespace {

using Clock = std::chrono::steady_clock;

// No GPU so far has more L2 than this; backends do not tell.
constexpr double kGpuCache = 128e6;
constexpr std::size_t kAlignment = 256;

// All caches of the highest level, of which each core names its own.
double cpu_cache() {
  double sum = 0;
  std::set<std::string> counted;
  const std::string cpus = "/sys/devices/system/cpu/cpu";
  for (int cpu = 0; std::filesystem::exists(cpus + std::to_string(cpu)); ++cpu) {
    for (int level = 3; level >= 2; --level) {
      const std::string cache = cpus + std::to_string(cpu) + "/cache/index" + std::to_string(level);
      std::ifstream size(cache + "/size"), shared(cache + "/shared_cpu_list");
      double kilobytes = 0;
      std::string who;
      if (!(size >> kilobytes) || !(shared >> who)) continue;
      if (counted.insert(who).second) sum += 1024 * kilobytes;
      break;
    }
  }
  return sum > 0 ? sum : 32e6;
}

double cpu_memory() {
  return static_cast<double>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Past the caches where the processor can, so that a line that is written is not read before.
void stream(char* to, const char* from, std::size_t bytes) {
#if defined(__SSE2__)
  const bool aligned =
      (reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % 16 == 0;
  if (aligned && bytes % 64 == 0) {
    const auto* x = reinterpret_cast<const __m128i*>(from);
    auto* y = reinterpret_cast<__m128i*>(to);
    for (std::size_t i = 0; i < bytes / 16; i += 4)
      for (std::size_t j = 0; j < 4; ++j) _mm_stream_si128(y + i + j, _mm_load_si128(x + i + j));
    _mm_sfence();
    return;
  }
#endif
  std::memcpy(to, from, bytes);
}

}  // namespace

Place::Place(Device device) : device_(device) {
  if (is_cpu() || emulated()) {
    cache_ = cpu_cache(), memory_ = cpu_memory();
  } else {
    cache_ = kGpuCache, memory_ = static_cast<double>(device_info(device).memory);
  }
}

std::string Place::name() const {
  return is_cpu() ? cpu_info().model : device_info(device_).name;
}
const k::Kernels& Place::kernels() const {
  return bp::kernels(device_);
}
const k::Ladders* Place::ladders() const {
  return is_cpu() ? &cpu::ladders() : backend(device_).ladders;
}

std::shared_ptr<void> Place::allocate(std::size_t bytes) const {
  void* block = is_cpu() ? allocate_host(std::max<std::size_t>(1, bytes)) : backend(device_).allocate(bytes);
  require(block != nullptr, "no memory for ", bytes >> 20, " MB on ", device_);
  if (is_cpu()) return {block, std::free};
  return {block, [device = device_](void* b) { backend(device).release(b); }};
}
void Place::upload(void* to, const void* from, std::size_t bytes) const {
  if (is_cpu())
    std::memcpy(to, from, bytes);
  else
    backend(device_).upload(to, from, bytes);
}
void Place::download(void* to, const void* from, std::size_t bytes) const {
  if (is_cpu())
    std::memcpy(to, from, bytes);
  else
    backend(device_).download(to, from, bytes);
}
void Place::copy(void* to, const void* from, std::size_t bytes) const {
  if (!is_cpu()) return backend(device_).copy(to, from, bytes);
  parallel_for(static_cast<i64>(bytes), i64{1} << 20, [&](i64 begin, i64 end) {
    stream(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
           static_cast<std::size_t>(end - begin));
  });
}
void Place::synchronize() const {
  bp::synchronize(device_);
}

void* Place::mark() const {
  return is_cpu() ? new Clock::time_point(Clock::now()) : backend(device_).mark();
}
double Place::seconds(void* from, void* to) const {
  if (!is_cpu()) return backend(device_).seconds(from, to);
  const std::unique_ptr<Clock::time_point> begin(static_cast<Clock::time_point*>(from)),
      end(static_cast<Clock::time_point*>(to));
  return std::chrono::duration<double>(*end - *begin).count();
}

void Place::scrub() const {
  const auto bytes = static_cast<std::size_t>(2 * cache_);
  if (!dirt_) dirt_ = allocate(bytes);
  kernels().fill({dirt_.get(), static_cast<i64>(bytes / 4), 0.5f, DType::f32});
}

Operands::Operands(const Place& place, const Problem& problem) : place_(place), operands_(problem.operands) {
  const auto bytes_of = [](const Operand& x) { return static_cast<std::size_t>(x.n) * size_of(x.dtype); };
  const auto rounded = [&](const Operand& x) {
    return (bytes_of(x) + kAlignment - 1) / kAlignment * kAlignment;
  };
  if (place.emulated()) {  // each by itself, so that a stray access stops the program
    for (const Operand& x : operands_) {
      blocks_.push_back(place.allocate(bytes_of(x)));
      pointers_.push_back(blocks_.back().get());
    }
    return;
  }
  std::size_t sum = kAlignment;
  for (const Operand& x : operands_) sum += rounded(x);
  blocks_.push_back(place.allocate(sum));
  const auto base = reinterpret_cast<std::uintptr_t>(blocks_[0].get());
  char* next = static_cast<char*>(blocks_[0].get()) + (kAlignment - base % kAlignment) % kAlignment;
  for (const Operand& x : operands_) {
    pointers_.push_back(next);
    next += rounded(x);
  }
}

void Operands::fill(const std::vector<std::vector<float>>& values) const {
  std::vector<bf16> halves;
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const void* from = values[i].data();
    if (operands_[i].dtype == DType::bf16) {
      halves.resize(values[i].size());
      for (std::size_t j = 0; j < halves.size(); ++j) halves[j] = to_bf16(values[i][j]);
      from = halves.data();
    }
    place_.upload(pointers_[i], from, values[i].size() * size_of(operands_[i].dtype));
  }
}

std::vector<float> Operands::read(std::size_t operand) const {
  const auto n = static_cast<std::size_t>(operands_[operand].n);
  std::vector<float> values(n);
  if (operands_[operand].dtype == DType::f32) {
    place_.download(values.data(), pointers_[operand], 4 * n);
    return values;
  }
  std::vector<bf16> halves(n);
  place_.download(halves.data(), pointers_[operand], 2 * n);
  for (std::size_t i = 0; i < n; ++i) values[i] = to_f32(halves[i]);
  return values;
}

std::vector<std::vector<float>> random_values(const Problem& problem, unsigned seed) {
  std::vector<std::vector<float>> all;
  for (const Operand& x : problem.operands) {
    std::vector<float> v(static_cast<std::size_t>(x.n), std::numeric_limits<float>::quiet_NaN());
    const auto at = static_cast<unsigned>(all.size());
    if (x.role != Role::out)
      for (std::size_t i = 0; i < v.size(); ++i) {
        // SplitMix64's finalizer over the index: numbers without a pattern along any axis.
        std::uint64_t z =
            (i + 1) * 0x9E3779B97F4A7C15ull + ((std::uint64_t{seed} << 32) | at) * 0xD1B54A32D192ED03ull;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        const float u = static_cast<float>(z >> 40) * 0x1p-24f;
        v[i] = x.low + (x.high - x.low) * u;
        if (x.dtype == DType::bf16) v[i] = to_f32(to_bf16(v[i]));
      }
    all.push_back(std::move(v));
  }
  return all;
}

}  // namespace bp::bench
