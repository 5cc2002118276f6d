// Products of a warpgroup (wgmma): each lane keeps what it issued and computes its own sums when it waits.
#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/simt/hopper.h"
#include "kernels/simt/machine.h"

namespace bp::simt {
namespace {

constexpr unsigned kGroup = 128;
constexpr int kMostSums = 128, kMostFragments = 4;

// Sums that are being computed: `at` holds NaN until they are there.
struct Fragment {
  float* at;
  int count, in_flight;
  float value[kMostSums];
};

struct Issued {
  Fragment* fragment;
  int columns;
  WgmmaOperand a, b;
  bool add;
  unsigned group;
};

struct WgmmaLane {
  std::vector<Issued> issued;
  Fragment fragments[kMostFragments];
  unsigned committed;
  bool fenced;
  std::uint64_t hash;  // of all that was issued, which four warps must agree on

  void clear() {
    issued.clear();
    for (Fragment& f : fragments) f.at = nullptr, f.in_flight = 0;
    committed = 0;
    fenced = false;
    hash = 0;
  }
};

struct State {
  std::vector<WgmmaLane> lanes;
  bool used = true;
};
thread_local State state;

WgmmaLane& current() {
  return state.lanes[lane_in_block()];
}

// The PTX manual's matrix descriptor.
WgmmaOperand decode(std::uint64_t descriptor, bool depth_inner, Place place) {
  const auto field = [&](int bit) { return static_cast<std::size_t>(descriptor >> bit & 0x3fff) << 4; };
  if (descriptor >> 62 != 1) mistake("a wgmma descriptor without the 128-byte swizzle", place);
  if ((descriptor >> 49 & 7) != 0) mistake("a wgmma descriptor with a base offset", place);
  const WgmmaOperand operand{field(0), field(16), field(32), depth_inner};
  if ((operand.start & 0x380) != 0)
    mistake("a wgmma descriptor of a matrix that does not begin at a multiple of 1024", place);
  return operand;
}

// The fragment in flight with these sums, or a new one.
Fragment& fragment_of(WgmmaLane& lane, float* sums, int count, Place place) {
  for (Fragment& f : lane.fragments)
    if (f.in_flight > 0 && f.at == sums) return f;
  if (!lane.fenced) mistake("wgmma without wgmma.fence after its sums may have been touched", place);
  for (Fragment& f : lane.fragments)
    if (f.in_flight == 0) {
      f.at = sums;
      f.count = count;
      std::copy_n(sums, count, f.value);
      return f;
    }
  mistake("wgmma with more than four fragments in flight", place);
}

bool untouched(const Fragment& f) {
  return std::all_of(f.at, f.at + f.count, [](float x) { return std::bit_cast<std::uint32_t>(x) == ~0u; });
}

void compute(const Issued& i, Place place) {
  Fragment& f = *i.fragment;
  if (!untouched(f)) mistake("sums that were written while wgmma computes them", place);
  if (!i.add) std::fill_n(f.value, f.count, 0.0f);
  switch (add_wgmma(f.value, lane_in_block() % kGroup, i.columns, i.a, i.b)) {
    case WgmmaFault::none:
      break;
    case WgmmaFault::outside:
      mistake("wgmma reads beyond shared memory", place);
    case WgmmaFault::unfenced:
      mistake("wgmma reads shared memory that lanes wrote without fence.proxy.async", place);
  }
  if (--f.in_flight == 0) std::copy_n(f.value, f.count, f.at);
}

}  // namespace

void begin_wgmma(unsigned lanes) {
  if (state.lanes.size() < lanes) {
    state.lanes.resize(lanes);
    state.used = true;
  }
  if (state.used)
    for (WgmmaLane& lane : state.lanes) lane.clear();
  state.used = false;
}

void end_wgmma_lane(Place place) {
  if (state.used && !current().issued.empty())
    mistake("returned with a wgmma that nothing waited for", place);
}

void end_wgmma(unsigned lanes) {
  if (!state.used) return;
  for (unsigned i = 0; i < lanes; ++i)
    if (state.lanes[i].hash != state.lanes[i / kGroup * kGroup].hash)
      mistake_of_block("the four warps of a warpgroup gave wgmma different operands");
}

void fence_wgmma() {
  current().fenced = true;
}

void wgmma(float* sums, int columns, std::uint64_t a, std::uint64_t b, bool b_depth_inner, bool add,
           Place place) {
  sync_warp(place);
  state.used = true;
  WgmmaLane& lane = current();
  if ((lane_in_block() / kGroup + 1) * kGroup > here->threads.x * here->threads.y * here->threads.z)
    mistake("wgmma in a warpgroup of fewer than four warps", place);
  const int count = columns / 2;
  if (columns % 8 != 0 || count > kMostSums) mistake("wgmma of a width that does not exist", place);
  Fragment& f = fragment_of(lane, sums, count, place);
  fill(reinterpret_cast<unsigned char*>(sums), kPoison, static_cast<std::size_t>(count) * sizeof(float));
  ++f.in_flight;
  lane.issued.push_back(
      {&f, columns, decode(a, true, place), decode(b, b_depth_inner, place), add, lane.committed});
  for (const std::uint64_t part : {a, b, std::uint64_t{add}})
    lane.hash = (lane.hash ^ part) * 0x9E3779B97F4A7C15u + 1;
}

void commit_wgmma() {
  ++current().committed;
}

void wait_wgmma(int groups_left, Place place) {
  WgmmaLane& lane = current();
  const auto kept = static_cast<unsigned>(groups_left);
  const unsigned done = lane.committed > kept ? lane.committed - kept : 0;
  auto next = lane.issued.begin();
  for (; next != lane.issued.end() && next->group < done; ++next) compute(*next, place);
  lane.issued.erase(lane.issued.begin(), next);
  lane.fenced = false;
  sync_warp(place);  // on a GPU, too, all lanes have waited when one goes on
}

}  // namespace bp::simt
