// Barriers that count arrivals and bytes (mbarrier), and the bulk copies that complete on them. A copy is
// done by the first lane that waits for its phase, as late as it can be.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "kernels/cuda/hopper.h"
#include "kernels/simt/machine.h"
#include "kernels/simt/tsan.h"

namespace bp::simt {
namespace {

constexpr std::size_t kMostBarriers = 64, kMostCopies = 1024, kMostShared = 320 << 10;  // more than a window
constexpr std::size_t kTileRow = 128;                                                   // bytes

struct BarrierState {
  void* address;
  unsigned arrivals, pending;
  std::int64_t bytes;    // announced and not arrived
  std::int64_t waiting;  // of copies that have not been done
  unsigned phase;
  unsigned owner;
  bool fenced;
  char tags[2];  // of even and odd phases

  bool complete_with_copies() const { return pending == 0 && bytes - waiting <= 0; }
  void next_phase() {
    ++phase;
    pending = arrivals;
    bytes = 0;
  }
};

struct BulkCopy {
  BarrierState* barrier;
  unsigned char* to;
  const unsigned char* from;  // null: a tile
  std::size_t bytes;
  TileMap map;
  i64 row, column;
};

// Of the block that runs on this thread. Nothing in it may be allocated by a lane: lanes would race for what
// they freed.
struct State {
  std::array<BarrierState, kMostBarriers> barriers;
  std::size_t barrier_count = 0;
  std::vector<BulkCopy> copies;
  std::unique_ptr<std::uint64_t[]> seen;  // async_window()
  bool seen_used = false;
};
thread_local State state;

class PhaseEvent : public Event {
 public:
  PhaseEvent(const BarrierState& barrier, unsigned parity) : barrier_(barrier), parity_(parity) {}
  bool happened() const override {
    return (barrier_.phase & 1) != parity_ || barrier_.complete_with_copies();
  }
  std::string missing() const override {
    return "phase " + std::to_string(barrier_.phase) + " of an mbarrier, which lacks " +
           std::to_string(barrier_.pending) + " arrivals and " +
           std::to_string(barrier_.bytes - barrier_.waiting) + " bytes";
  }

 private:
  const BarrierState& barrier_;
  const unsigned parity_;
};

BarrierState& find(void* barrier, Place place) {
  for (std::size_t i = 0; i < state.barrier_count; ++i)
    if (state.barriers[i].address == barrier) return state.barriers[i];
  mistake("an mbarrier that was not initialised", place);
}

// By words and by hand, as fill().
unsigned char* seen() {
  volatile std::uint64_t* words = state.seen.get();
  for (std::size_t i = 0; i < kMostShared / 8 && !state.seen_used; ++i) words[i] = ~std::uint64_t{0};
  state.seen_used = true;
  return reinterpret_cast<unsigned char*>(state.seen.get());
}
void show(std::size_t offset, std::size_t bytes) {
  volatile unsigned char* to = seen() + offset;
  const volatile unsigned char* from = window() + offset;
  for (; bytes >= 8; to += 8, from += 8, bytes -= 8)
    *reinterpret_cast<volatile std::uint64_t*>(to) = *reinterpret_cast<const volatile std::uint64_t*>(from);
  for (; bytes > 0; --bytes) *to++ = *from++;
}

void start_copy(BulkCopy copy, void* barrier, Place place) {
  BarrierState& b = find(barrier, place);
  if (!b.fenced) mistake("a bulk copy to an mbarrier without a fence after its initialisation", place);
  if (state.copies.size() == kMostCopies) mistake("more than 1024 bulk copies that nobody waits for", place);
  const std::size_t offset = window_offset(copy.to, copy.bytes, place);
  poison(copy.to, copy.bytes);
  show(offset, copy.bytes);
  copy.barrier = &b;
  state.copies.push_back(copy);
  b.waiting += static_cast<std::int64_t>(copy.bytes);
  BP_RELEASE(&b.tags[b.phase & 1]);
}

// Rows of the box of 128 bytes, chunks exchanged by the address as the 128-byte swizzle does; zeros outside
// of the matrix.
void perform_tile(const BulkCopy& c) {
  const auto first = static_cast<std::size_t>(c.to - window());
  for (unsigned r = 0; r < c.map.box_rows; ++r)
    for (unsigned chunk = 0; chunk < 8; ++chunk) {
      const i64 row = c.row + r, column = c.column + 8 * chunk;
      const bool in_rows = row >= 0 && row < c.map.rows && column >= 0;
      const auto bytes =
          static_cast<std::size_t>(in_rows ? 2 * std::clamp<i64>(c.map.columns - column, 0, 8) : 0);
      const auto* from = static_cast<const unsigned char*>(c.map.matrix);
      if (bytes) from += 2 * (row * c.map.stride + column);
      std::size_t to = first + r * kTileRow + chunk * 16;
      to ^= (to >> 7 & 7) << 4;
      perform(window() + to, from, bytes, 16 - bytes);
    }
}

void perform_copies(BarrierState& barrier) {
  auto& copies = state.copies;
  std::size_t kept = 0;
  for (const BulkCopy& c : copies) {
    if (c.barrier != &barrier) {
      copies[kept++] = c;
      continue;
    }
    if (c.from)
      perform(c.to, c.from, c.bytes, 0);
    else
      perform_tile(c);
    show(static_cast<std::size_t>(c.to - window()), c.bytes);
    barrier.bytes -= static_cast<std::int64_t>(c.bytes);
  }
  copies.resize(kept);
  barrier.waiting = 0;
}

void require_aligned(const void* p, std::size_t to, const char* what, Place place) {
  if (reinterpret_cast<std::uintptr_t>(p) % to != 0) mistake(what, place);
}

}  // namespace

void begin_bulk() {
  state.barrier_count = 0;
  state.copies.clear();
  state.copies.reserve(kMostCopies);
  if (!state.seen) state.seen = std::make_unique_for_overwrite<std::uint64_t[]>(kMostShared / 8);
  state.seen_used = false;
}

void end_bulk() {
  if (!state.copies.empty()) mistake_of_block("a bulk copy that nothing waited for");
}

const unsigned char* async_window() {
  return seen();
}

void init_barrier(void* barrier, unsigned arrivals, Place place) {
  require_aligned(barrier, 8, "an mbarrier that is not aligned to 8", place);
  window_offset(barrier, 8, place);
  for (std::size_t i = 0; i < state.barrier_count; ++i)
    if (state.barriers[i].address == barrier) mistake("an mbarrier that is initialised twice", place);
  if (state.barrier_count == kMostBarriers) mistake("more than 64 mbarriers", place);
  if (arrivals == 0) mistake("an mbarrier of no arrivals", place);
  state.barriers[state.barrier_count++] = {barrier, arrivals, arrivals, 0, 0, 0, lane_in_block(), false, {}};
}

void fence_barriers() {
  for (std::size_t i = 0; i < state.barrier_count; ++i)
    if (state.barriers[i].owner == lane_in_block()) state.barriers[i].fenced = true;
}

void arrive(void* barrier, std::size_t bytes, Place place) {
  BarrierState& b = find(barrier, place);
  if (b.pending == 0) mistake("an arrival at an mbarrier whose phase has all", place);
  BP_RELEASE(&b.tags[b.phase & 1]);
  b.bytes += static_cast<std::int64_t>(bytes);
  --b.pending;
  if (b.pending == 0 && b.bytes == 0 && b.waiting == 0) b.next_phase();
}

void wait_phase(void* barrier, unsigned parity, Place place) {
  BarrierState& b = find(barrier, place);
  const PhaseEvent event(b, parity);
  if (!event.happened()) wait_for(event, place);
  BP_ACQUIRE(&b.tags[parity]);
  if ((b.phase & 1) != parity) return;
  perform_copies(b);
  if (b.bytes != 0) mistake("more bytes arrive at an mbarrier than were announced", place);
  b.next_phase();
  BP_RELEASE(&b.tags[parity]);
}

void copy_bulk(void* shared, const void* global, std::size_t bytes, void* barrier, Place place) {
  require_aligned(shared, 16, "a bulk copy to an address that is not aligned to 16", place);
  require_aligned(global, 16, "a bulk copy from an address that is not aligned to 16", place);
  if (bytes == 0 || bytes % 16 != 0) mistake("a bulk copy whose size is not a multiple of 16", place);
  start_copy({nullptr,
              static_cast<unsigned char*>(shared),
              static_cast<const unsigned char*>(global),
              bytes,
              {},
              0,
              0},
             barrier, place);
}

void copy_tile(void* shared, const TileMap& map, i64 row, i64 column, void* barrier, Place place) {
  if (shared_address(shared, place) % 1024 != 0)
    mistake("a tile that does not begin at a multiple of 1024", place);
  start_copy(
      {nullptr, static_cast<unsigned char*>(shared), nullptr, map.box_rows * kTileRow, map, row, column},
      barrier, place);
}

void fence_async() {
  show(0, window_size());
}

std::uint32_t shared_address(const void* shared, Place place) {
  return static_cast<std::uint32_t>(window_offset(shared, 1, place));
}

}  // namespace bp::simt

namespace bp::cuda {

TileMap make_tile_map(const void* matrix, i64 rows, i64 columns, i64 stride, unsigned box_rows) {
  require_mappable(matrix, rows, columns, stride, box_rows);
  return {{matrix, rows, columns, stride, box_rows}};
}

}  // namespace bp::cuda
