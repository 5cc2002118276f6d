// One multiprocessor on one thread: runs the lanes of a block as fibers and decides who goes on at barriers.
// The ThreadSanitizer build instruments the kernels and not this file: what orders lanes is said by hand.
#include <algorithm>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/machine.h"
#include "kernels/simt/order.h"
#include "kernels/simt/tsan.h"
#include "kernels/threads.h"

namespace bp::simt {

thread_local constinit const Lane* here = nullptr;

namespace {

constexpr unsigned kMostThreads = 1024;
constexpr std::size_t kMostShared = 227 << 10, kMostStatic = 48 << 10;  // of a Hopper block
constexpr std::size_t kFence = 64, kMostArrays = 32;  // watched bytes beside each shared array
constexpr unsigned char kFenceByte = 0xa5;

struct Launch {
  dim3 blocks, threads;
  std::size_t shared_bytes;
  const cuda::Work* work;
  Place place;
};

enum class Wait : std::uint8_t { none, warp, block, event, done };

struct AsyncCopy {
  void* to;
  const void* from;
  std::size_t bytes, zeros;
};

struct LaneState : Lane {
  unsigned index = 0;
  Wait wait = Wait::none;
  const Event* event = nullptr;
  Place place;
  std::uint64_t exchanges = 0;
  unsigned warp_barriers = 0, block_barriers = 0;
  std::vector<std::vector<AsyncCopy>> groups;  // committed ones, then the open one
  Fiber fiber;
};

struct WarpState {
  unsigned live = 0, waiting = 0;
  alignas(16) unsigned char values[2][kWarp][16];
  std::uint64_t stamps[2][kWarp];
  char tags[2];  // two by turns: with one, ThreadSanitizer would order a barrier with the one after next
};

struct SharedArray {
  const void* key;
  std::size_t bytes;
  unsigned char* data;
};

std::string text_of(Place place) {
  std::ostringstream out;
  out << place.file_name() << ':' << place.line();
  return out.str();
}
std::string text_of(uint3 p) {
  std::ostringstream out;
  out << '(' << p.x << ',' << p.y << ',' << p.z << ')';
  return out.str();
}
bool same(Place a, Place b) {
  return a.line() == b.line() && a.column() == b.column() && std::strcmp(a.file_name(), b.file_name()) == 0;
}

class Machine {
 public:
  Machine();
  void run_block(const Launch& launch, std::uint64_t number);

  LaneState& current() { return *current_; }
  WarpState& warp() { return warps_[current_->index / kWarp]; }
  const Launch& launch() const { return *launch_; }
  void* dynamic() { return arrays_.front().data; }
  void* array(const void* key, std::size_t bytes, Place place);
  unsigned char* shared() { return shared_; }
  std::size_t used() const { return used_; }
  bool in_array(const unsigned char* p, std::size_t bytes) const;
  // Of a block that failed: what its lanes did is done, though they never reached its end.
  void abandon();

  void wait(Wait kind, Place place) {
    LaneState& lane = *current_;
    lane.place = place;
    lane.wait = kind;
    char* tag =
        kind == Wait::warp ? &warp().tags[lane.warp_barriers++ % 2] : &tags_[lane.block_barriers++ % 2];
    BP_RELEASE(tag);
    lane.fiber.yield();
    BP_ACQUIRE(tag);
  }
  void wait_for(const Event& event, Place place) {
    LaneState& lane = *current_;
    lane.place = place;
    lane.wait = Wait::event;
    lane.event = &event;
    BP_RELEASE(&end_tag_);  // what happened before is known where the block fails here
    lane.fiber.yield();
  }

 private:
  static void run_lane(void* argument);
  void start(std::uint64_t number);
  void after(LaneState& lane);
  void pass_warp(unsigned warp);
  void pass_block();
  void check_place(const LaneState& a, const LaneState& b) const;
  void add_array(const void* key, std::size_t bytes);
  void check_fences() const;
  [[noreturn]] void stuck() const;
  void stuck_at_events() const;

  const Launch* launch_ = nullptr;
  std::vector<std::unique_ptr<LaneState>> lanes_;
  std::vector<WarpState> warps_;
  std::vector<SharedArray> arrays_;  // the dynamic bytes first
  std::unique_ptr<unsigned char[]> memory_;
  unsigned char* shared_ = nullptr;  // in memory_, aligned
  std::size_t used_ = 0;
  LaneState* current_ = nullptr;
  unsigned count_ = 0, live_ = 0, waiting_ = 0;
  char tags_[2]{}, begin_tag_ = 0, end_tag_ = 0;
  std::exception_ptr error_;
};

thread_local std::unique_ptr<Machine> machine;

std::string where(const Launch& launch, const Lane& lane) {
  return "simt: kernel of " + text_of(launch.place) + ", block " + text_of(lane.block) + ", thread " +
         text_of(lane.thread) + ": ";
}

Machine::Machine() {
  constexpr std::size_t kRoom = kMostShared + kMostStatic + (kMostArrays + 2) * 512;
  memory_ = std::make_unique_for_overwrite<unsigned char[]>(kRoom);
  const auto first = reinterpret_cast<std::uintptr_t>(memory_.get());
  shared_ = memory_.get() + ((first + 127) / 128 * 128 - first);
  arrays_.reserve(kMostArrays + 1);  // lanes must not allocate: they would race for what they freed
}

void Machine::abandon() {
  for (WarpState& w : warps_)
    for (char& tag : w.tags) BP_ACQUIRE(&tag);
  for (char& tag : tags_) BP_ACQUIRE(&tag);
  BP_ACQUIRE(&end_tag_);
  here = nullptr;
}

void Machine::run_lane(void* argument) {
  Machine& m = *machine;
  auto& lane = *static_cast<LaneState*>(argument);
  BP_ACQUIRE(&m.begin_tag_);
  try {
    m.launch_->work->run();
    for (const auto& group : lane.groups)
      if (!group.empty()) mistake("returned with a cp.async that nothing waited for", lane.place);
    end_wgmma_lane(lane.place);
  } catch (...) {
    if (!m.error_) m.error_ = std::current_exception();
  }
  BP_RELEASE(&m.end_tag_);
  lane.wait = Wait::done;
}

// Arrays stand one behind the other in memory that lives as long as the machine, fences between them.
void Machine::add_array(const void* key, std::size_t bytes) {
  constexpr std::size_t kAlign = 128;
  const std::size_t begin = (used_ + kFence + kAlign - 1) / kAlign * kAlign;
  unsigned char* data = shared_ + begin;
  fill(data - kFence, kFenceByte, kFence);
  fill(data, kPoison, bytes);
  fill(data + bytes, kFenceByte, kFence);
  used_ = begin + bytes + kFence;
  arrays_.push_back({key, bytes, data});
}

void* Machine::array(const void* key, std::size_t bytes, Place place) {
  std::size_t all = 0;
  for (std::size_t i = 1; i < arrays_.size(); ++i) {
    if (arrays_[i].key == key) return arrays_[i].data;
    all += arrays_[i].bytes;
  }
  if (all + bytes > kMostStatic) mistake("more than 48 KiB of static shared memory", place);
  if (arrays_.size() > kMostArrays) mistake("more than 32 shared arrays", place);
  add_array(key, bytes);
  return arrays_.back().data;
}

bool Machine::in_array(const unsigned char* p, std::size_t bytes) const {
  for (const SharedArray& a : arrays_)
    if (p >= a.data && p + bytes <= a.data + a.bytes) return true;
  return false;
}

void Machine::check_fences() const {
  for (const SharedArray& a : arrays_)
    for (std::size_t i = 0; i < kFence; ++i)
      if (a.data[a.bytes + i] != kFenceByte || a.data[i - kFence] != kFenceByte)
        throw std::runtime_error(where(*launch_, *lanes_[0]) + "wrote beside a shared array of " +
                                 std::to_string(a.bytes) + " bytes");
}

void Machine::start(std::uint64_t number) {
  const dim3& t = launch_->threads;
  const dim3& b = launch_->blocks;
  const auto n = static_cast<unsigned>(number);
  const uint3 block{static_cast<unsigned>(number % b.x), n / b.x % b.y, n / b.x / b.y};
  count_ = t.x * t.y * t.z;
  live_ = count_;
  waiting_ = 0;
  error_ = nullptr;
  arrays_.clear();
  used_ = 0;
  add_array(nullptr, launch_->shared_bytes);
  begin_bulk();
  begin_wgmma(count_);
  warps_.resize(count_ / kWarp);
  for (WarpState& w : warps_) {
    w.live = kWarp;
    w.waiting = 0;
    std::memset(w.stamps, 0, sizeof w.stamps);
  }
  while (lanes_.size() < count_) lanes_.push_back(std::make_unique<LaneState>());
  BP_RELEASE(&begin_tag_);
  for (unsigned i = 0; i < count_; ++i) {
    LaneState& lane = *lanes_[i];
    lane.index = i;
    lane.lane = i % kWarp;
    lane.thread = {i % t.x, i / t.x % t.y, i / t.x / t.y};
    lane.block = block;
    lane.threads = t;
    lane.blocks = b;
    lane.wait = Wait::none;
    lane.place = launch_->place;
    lane.exchanges = 0;
    lane.warp_barriers = lane.block_barriers = 0;
    lane.groups.assign(1, {});
    lane.fiber.start(run_lane, &lane);
  }
}

void Machine::check_place(const LaneState& a, const LaneState& b) const {
  if (!same(a.place, b.place))
    throw std::runtime_error(where(*launch_, a) + "divergent barrier: it waits at " + text_of(a.place) +
                             ", thread " + text_of(b.thread) + " at " + text_of(b.place));
}

void Machine::pass_warp(unsigned w) {
  WarpState& state = warps_[w];
  if (state.live == 0 || state.waiting != state.live) return;
  const LaneState* first = nullptr;
  for (unsigned i = w * kWarp; i < (w + 1) * kWarp; ++i) {
    LaneState& lane = *lanes_[i];
    if (lane.wait != Wait::warp) continue;
    if (first) check_place(*first, lane);
    first = first ? first : &lane;
    lane.wait = Wait::none;
  }
  state.waiting = 0;
}

void Machine::pass_block() {
  if (live_ == 0 || waiting_ != live_) return;
  const LaneState* first = nullptr;
  for (unsigned i = 0; i < count_; ++i) {
    LaneState& lane = *lanes_[i];
    if (lane.wait != Wait::block) continue;
    if (first) check_place(*first, lane);
    first = first ? first : &lane;
    lane.wait = Wait::none;
  }
  waiting_ = 0;
}

void Machine::after(LaneState& lane) {
  const unsigned w = lane.index / kWarp;
  if (lane.wait == Wait::warp) {
    ++warps_[w].waiting;
  } else if (lane.wait == Wait::block) {
    ++waiting_;
  } else if (lane.wait == Wait::done) {
    --warps_[w].live;
    --live_;
  }
  pass_warp(w);
  pass_block();
}

// Which of them is the cause is for the reader to say: all places, each once.
void Machine::stuck_at_events() const {
  std::vector<const LaneState*> waiting;
  std::string message;
  for (unsigned i = 0; i < count_; ++i) {
    const LaneState& lane = *lanes_[i];
    const auto known = [&](const LaneState* w) { return same(w->place, lane.place); };
    if (lane.wait != Wait::event || std::any_of(waiting.begin(), waiting.end(), known)) continue;
    message += (waiting.empty() ? "waits for ever at " : "; thread " + text_of(lane.thread) + " at ") +
               text_of(lane.place) + " for " + lane.event->missing();
    waiting.push_back(&lane);
  }
  if (!waiting.empty()) throw std::runtime_error(where(*launch_, *waiting[0]) + message);
}

void Machine::stuck() const {
  stuck_at_events();
  const auto waits_for = [](Wait w) { return w == Wait::warp ? "its warp at " : "its block at "; };
  const LaneState *first = nullptr, *other = nullptr;
  for (unsigned i = 0; i < count_; ++i) {
    const LaneState& lane = *lanes_[i];
    if (lane.wait == Wait::done) continue;
    if (!first)
      first = &lane;
    else if (!other && (lane.wait != first->wait || !same(lane.place, first->place)))
      other = &lane;
  }
  std::string message = where(*launch_, *first) + "divergent barrier: it waits for " +
                        waits_for(first->wait) + text_of(first->place);
  if (other)
    message +=
        ", thread " + text_of(other->thread) + " for " + waits_for(other->wait) + text_of(other->place);
  throw std::runtime_error(message);
}

void Machine::run_block(const Launch& launch, std::uint64_t number) {
  launch_ = &launch;
  start(number);
  Order order(count_, number);
  while (live_ > 0) {
    bool moved = false;
    for (const unsigned i : order.next()) {
      LaneState& lane = *lanes_[i];
      if (lane.wait == Wait::event && lane.event->happened()) lane.wait = Wait::none;
      if (lane.wait != Wait::none) continue;
      moved = true;
      current_ = &lane;
      here = &lane;
      lane.fiber.resume();
      here = nullptr;
      if (error_) std::rethrow_exception(error_);
      after(lane);
    }
    if (!moved) stuck();
  }
  BP_ACQUIRE(&end_tag_);
  check_fences();
  end_bulk();
  end_wgmma(count_);
}

}  // namespace

void fill(unsigned char* to, unsigned char byte, std::size_t count) {
  for (volatile unsigned char* p = to; count > 0; --count) *p++ = byte;
}

void mistake(const char* what, Place place) {
  throw std::runtime_error(where(machine->launch(), machine->current()) + what + " at " + text_of(place));
}

void mistake_of_block(const std::string& what) {
  throw std::runtime_error(where(machine->launch(), machine->current()) + what);
}

void wait_for(const Event& event, Place place) {
  machine->wait_for(event, place);
}
unsigned lane_in_block() {
  return machine->current().index;
}
std::size_t window_offset(const void* shared, std::size_t bytes, Place place) {
  const auto* p = static_cast<const unsigned char*>(shared);
  if (!machine->in_array(p, bytes)) mistake("an address that is not in shared memory", place);
  return static_cast<std::size_t>(p - machine->shared());
}
unsigned char* window() {
  return machine->shared();
}
std::size_t window_size() {
  return machine->used();
}

void sync_block(Place place) {
  machine->wait(Wait::block, place);
}
void sync_warp(Place place) {
  machine->wait(Wait::warp, place);
}

void publish(const void* value, std::size_t size, Place place) {
  LaneState& lane = machine->current();
  WarpState& warp = machine->warp();
  const std::uint64_t turn = ++lane.exchanges % 2;
  std::memcpy(warp.values[turn][lane.lane], value, size);
  warp.stamps[turn][lane.lane] = lane.exchanges;
  sync_warp(place);
}

const void* read_lane(unsigned from, Place place) {
  const LaneState& lane = machine->current();
  const WarpState& warp = machine->warp();
  if (from >= kWarp) mistake("a lane beyond the warp", place);
  const std::uint64_t turn = lane.exchanges % 2;
  return warp.stamps[turn][from] == lane.exchanges ? warp.values[turn][from] : nullptr;
}

void* shared_array(const void* key, std::size_t bytes, Place place) {
  return machine->array(key, bytes, place);
}
void* dynamic_shared_bytes() {
  return machine->dynamic();
}

void commit_async() {
  machine->current().groups.emplace_back();
}
void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t zeros) {
  machine->current().groups.back().push_back({shared, global, bytes, zeros});
}
void wait_async(int groups_left, Place) {
  auto& groups = machine->current().groups;
  while (groups.size() > static_cast<std::size_t>(groups_left) + 1) {
    for (const AsyncCopy& c : groups.front()) perform(c.to, c.from, c.bytes, c.zeros);
    groups.erase(groups.begin());
  }
}

void run_blocks(dim3 grid, dim3 block, std::size_t shared_bytes, const cuda::Work& work, Place place) {
  const Launch launch{grid, block, shared_bytes, &work, place};
  const auto reject = [&](const char* what) {
    throw std::runtime_error("simt: kernel of " + text_of(place) + ": " + what);
  };
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads % kWarp != 0 || threads > kMostThreads)
    reject("a block must have a multiple of 32 threads, at most 1024");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    reject("a grid must have 1 to 2^31-1 x 65535 x 65535 blocks");
  if (shared_bytes > kMostShared) reject("more than 227 KiB of shared memory");

  const i64 blocks = static_cast<i64>(grid.x) * grid.y * grid.z;
  const BlockOrder order(static_cast<std::uint64_t>(blocks));
  parallel_for(blocks, 1, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      if (!machine) machine = std::make_unique<Machine>();
      try {
        machine->run_block(launch, order(static_cast<std::uint64_t>(i)));
      } catch (...) {
        machine->abandon();
        machine.reset();  // with the fibers that will never end
        throw;
      }
    }
  });
}

}  // namespace bp::simt
