// What the emulator makes of Hopper's barriers, bulk copies and wgmma: that it computes what the PTX manual
// says, and that it finds mistakes.
#include <doctest/doctest.h>

#define BP_SIMT
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/hopper.h"
#include "kernels/cuda/tile.h"
#include "kernels/simt/backend.h"
#include "kernels/simt/order.h"
#include "tests/simt_mistakes.h"

using namespace bp;
using namespace bp::cuda;
using testing::check_mistake;
using testing::in_orders;
using testing::kWatchesRaces;

namespace {

// Mistakes to plant.
enum class Plant {
  none,
  no_wait,        // reads a copy without waiting
  other_parity,   // waits for the phase before
  no_copy,        // announces more bytes than it copies
  few_bytes,      // announces fewer
  no_init_fence,  // barriers that copies do not know
  second_arrival,
  forgotten,      // nobody waits for the last copy
  overwrites,     // copies the next step without waiting until the stage was read
  early_release,  // says that the stage was read before it was
};

constexpr int kSteps = 5, kPart = 64;

// Two warps: one copies parts of x into two stages, the other adds 1 and writes them.
__global__ void ring(const float* x, float* y, Plant plant) {
  auto* stages = dynamic_shared<float>();  // [2][kPart]
  BP_SHARED(Barrier, full, 2);
  BP_SHARED(Barrier, empty, 2);
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; ++i) {
      init_barrier(&full[i], 1);
      init_barrier(&empty[i], 32);
    }
    if (plant != Plant::no_init_fence) publish_barriers();
  }
  __syncthreads();
  const unsigned bytes = kPart * sizeof(float);
  if (threadIdx.x == 0) {
    for (int step = 0; step < kSteps; ++step) {
      const int at = step % 2;
      if (plant != Plant::overwrites) wait_phase(&empty[at], step / 2 % 2 ^ 1);
      arrive_expecting(&full[at], bytes - (plant == Plant::few_bytes ? 16 : 0));
      if (plant == Plant::second_arrival) arrive(&full[at]);
      copy_bulk(stages + at * kPart, x + step * kPart, bytes - (plant == Plant::no_copy ? 16 : 0), &full[at]);
    }
  } else if (threadIdx.x >= 32) {
    for (int step = 0; step < kSteps - (plant == Plant::forgotten); ++step) {
      const int at = step % 2, parity = step / 2 % 2;
      if (plant != Plant::no_wait) wait_phase(&full[at], plant == Plant::other_parity ? parity ^ 1 : parity);
      if (plant == Plant::early_release) {
        arrive(&empty[at]);
        __syncwarp();
      }
      for (unsigned i = threadIdx.x - 32; i < kPart; i += 32)
        y[step * kPart + i] = stages[at * kPart + i] + 1;
      if (plant != Plant::early_release) arrive(&empty[at]);
    }
  }
}

void run_ring(const std::vector<float>& x, std::vector<float>& y, Plant plant) {
  launch(ring, dim3(1), dim3(64), 2 * kPart * sizeof(float), x.data(), y.data(), plant);
}

// y [8][64] as a tile of x lies in shared memory.
__global__ void tile(const __grid_constant__ TileMap map, int row, int column, bf16* y) {
  auto* s = reinterpret_cast<bf16*>(align_tiles(dynamic_shared<unsigned char>()));
  BP_SHARED(Barrier, full, 1);
  if (threadIdx.x == 0) {
    init_barrier(full, 1);
    publish_barriers();
    arrive_expecting(full, 8 * 128);
    copy_tile(s, map, row, column, full);
  }
  __syncthreads();
  wait_phase(full, 0);
  for (unsigned i = threadIdx.x; i < 8 * 64; i += 32) y[i] = s[i];
}

enum class Wrong {
  none,
  fence,         // no wgmma.fence
  second_fence,  // no other after the sums could be read
  async_fence,   // no fence.proxy.async behind the stores to shared memory
  wait,          // sums read before they were waited for
  never,         // and never
  touched,       // sums written while they are computed
  stride,        // of the descriptor, half of what it is
  leading,       // of the descriptor
  swizzle,       // none said
  start,         // not at a multiple of 1024
  half_a_group,  // two warps of four
  different,     // a warp gives another operand
};

// C = A B by one warpgroup, A [64,32], B [256,32] or, not BDepthInner, [32,256] in shared memory, written by
// the lanes themselves in the order of a copied tile.
template <bool BDepthInner>
__global__ void product(const bf16* a, const bf16* b, float* c, Wrong wrong) {
  auto* as = reinterpret_cast<bf16*>(align_tiles(dynamic_shared<unsigned char>()));  // [64][64], half used
  bf16* bs = as + 64 * 64;
  const auto swizzled = [](int row, int column) {
    return row * 64 + ((column / 8 ^ row % 8) * 8) + column % 8;
  };
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, g = thread % 32 / 4, t = thread % 4;
  for (int i = thread; i < 64 * 32; i += 128) as[swizzled(i / 32, i % 32)] = a[i];
  for (int i = thread; i < 256 * 32; i += 128) {
    if (BDepthInner)
      bs[swizzled(i / 32, i % 32)] = b[i];
    else  // four tiles of [32][64]
      bs[i % 256 / 64 * 32 * 64 + swizzled(i / 256, i % 64)] = b[i];
  }
  if (wrong != Wrong::async_fence) publish_to_async();
  __syncthreads();
  if (wrong == Wrong::half_a_group && warp >= 2) return;

  float sums[128] = {};
  std::uint64_t da = wgmma_operand(as, 0, wrong == Wrong::stride ? 512 : 1024);
  std::uint64_t db = wgmma_operand(bs, wrong == Wrong::leading ? 2048 : 32 * 128, 1024);
  if (wrong == Wrong::swizzle) da &= ~(std::uint64_t{3} << 62);
  if (wrong == Wrong::start) da = advanced(da, 128);
  if (wrong == Wrong::different && warp == 1) da = advanced(da, 1024);
  if (wrong != Wrong::fence) fence_wgmma();
  for (unsigned d = 0; d < 2; ++d)
    wgmma_256<BDepthInner>(sums, advanced(da, d * 32), advanced(db, BDepthInner ? d * 32 : d * 2048), d > 0);
  commit_wgmma();
  if (wrong == Wrong::wait) wait_wgmma<1>();
  if (wrong == Wrong::touched) sums[0] = 1;
  if (wrong != Wrong::wait && wrong != Wrong::never) wait_sums(sums);
  if (wrong == Wrong::second_fence) wgmma_256<BDepthInner>(sums, da, db, true);
  for (int j = 0; j < 32; ++j)
    for (int i = 0; i < 4; ++i)
      c[(16 * warp + g + i / 2 * 8) * 256 + 8 * j + 2 * t + i % 2] = sums[4 * j + i];
  if (wrong == Wrong::wait) wait_wgmma<0>();
}

struct Whole {
  std::vector<bf16> a = std::vector<bf16>(64 * 32), b = std::vector<bf16>(256 * 32);
  std::vector<float> wanted = std::vector<float>(64 * 256);
  explicit Whole(bool b_depth_inner) {
    const auto value = [](std::size_t i) { return static_cast<float>(static_cast<int>(i * 37 % 17) - 8); };
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = to_bf16(value(i * 3));
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = to_bf16(value(i * 7 + 5));
    for (std::size_t m = 0; m < 64; ++m)
      for (std::size_t n = 0; n < 256; ++n)
        for (std::size_t k = 0; k < 32; ++k)
          wanted[m * 256 + n] += to_f32(a[m * 32 + k]) * to_f32(b[b_depth_inner ? n * 32 + k : k * 256 + n]);
  }
};

template <bool BDepthInner>
std::vector<float> run_product(const Whole& x, Wrong wrong) {
  std::vector<float> c(64 * 256, -1);
  launch(product<BDepthInner>, dim3(1), dim3(128), (64 + 256) * 64 * 2 + 1024, x.a.data(), x.b.data(),
         c.data(), wrong);
  return c;
}

}  // namespace

TEST_CASE("a ring of bulk copies, in all orders") {
  std::vector<float> x(kSteps * kPart);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  in_orders([&] {
    std::vector<float> y(x.size());
    run_ring(x, y, Plant::none);
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == x[i] + 1);
  });
}

TEST_CASE("mistakes with barriers and bulk copies are found") {
  alignas(16) static float data[kSteps * kPart];
  const std::vector<float> x(data, data + kSteps * kPart);
  std::vector<float> y(x.size());
  const auto planted = [&](Plant plant) { return [&, plant] { run_ring(x, y, plant); }; };
  check_mistake(planted(Plant::no_copy),
                {"waits for ever", "phase 0 of an mbarrier", "0 arrivals and 16 bytes"});
  check_mistake(planted(Plant::few_bytes), {"more bytes", "than were announced", "simt_hopper_test.cpp"});
  check_mistake(planted(Plant::no_init_fence), {"without a fence after its initialisation"});
  check_mistake(planted(Plant::second_arrival), {"an arrival at an mbarrier whose phase has all"});
  check_mistake(planted(Plant::forgotten), {"a bulk copy that nothing waited for"});
  if (kWatchesRaces) return;  // it would report these
  check_mistake(planted(Plant::other_parity), {"simt_hopper_test.cpp"});
  CHECK(std::isnan(y[0]));  // a fresh barrier's phase of parity 1 has passed
  bool noticed = false;
  in_orders([&] {
    check_mistake(planted(Plant::no_wait), {"simt: kernel of"});
    noticed |= std::isnan(y[0]);
  });
  CHECK(noticed);
  noticed = false;
  in_orders([&] {
    run_ring(x, y, Plant::early_release);
    noticed |= std::isnan(y[0]);
  });
  CHECK(noticed);
  check_mistake(planted(Plant::overwrites), {"an arrival at an mbarrier whose phase has all"});
}

TEST_CASE("tiles are copied in the 128-byte swizzle, zeros outside of the matrix") {
  const k::Backend& device = *simt::backend();
  constexpr i64 kRows = 13, kColumns = 75, kStride = 80;
  auto* x = static_cast<bf16*>(device.allocate(((kRows - 1) * kStride + kColumns) * 2));
  for (i64 r = 0; r < kRows; ++r)
    for (i64 c = 0; c < kColumns; ++c) x[r * kStride + c] = to_bf16(static_cast<float>(r * 7 + c + 1));
  const TileMap map = make_tile_map(x, kRows, kColumns, kStride, 8);
  for (const i64 row : {0, 8, 16})
    for (const i64 column : {0, 64, 128}) {
      std::vector<bf16> y(8 * 64);
      launch(tile, dim3(1), dim3(32), 2048, map, static_cast<int>(row), static_cast<int>(column), y.data());
      for (i64 r = 0; r < 8; ++r)
        for (i64 c = 0; c < 64; ++c) {
          const bool inside = row + r < kRows && column + c < kColumns;
          const float wanted = inside ? static_cast<float>((row + r) * 7 + column + c + 1) : 0;
          const auto at = static_cast<std::size_t>(r * 64 + ((c / 8 ^ r) * 8) + c % 8);
          CHECK(to_f32(y[at]) == to_f32(to_bf16(wanted)));
        }
    }
  CHECK_THROWS(make_tile_map(x + 1, kRows, kColumns, kStride, 8));
  CHECK_THROWS(make_tile_map(x, kRows, kColumns, kStride - 1, 8));
  CHECK_THROWS(make_tile_map(x, 0, kColumns, kStride, 8));
  device.release(x);
}

TEST_CASE("wgmma on whole numbers") {
  in_orders([] {
    const Whole inner(true), outer(false);
    CHECK(run_product<true>(inner, Wrong::none) == inner.wanted);
    CHECK(run_product<false>(outer, Wrong::none) == outer.wanted);
  });
}

TEST_CASE("mistakes with wgmma are found") {
  const Whole x(true), outer(false);
  const auto wrong = [&](Wrong what) { return [&, what] { run_product<true>(x, what); }; };
  check_mistake(wrong(Wrong::fence), {"wgmma without wgmma.fence", "simt_hopper_test.cpp"});
  check_mistake(wrong(Wrong::second_fence), {"wgmma without wgmma.fence"});
  check_mistake(wrong(Wrong::async_fence), {"without fence.proxy.async"});
  check_mistake(wrong(Wrong::never), {"returned with a wgmma that nothing waited for"});
  check_mistake(wrong(Wrong::touched), {"sums that were written while wgmma computes them"});
  check_mistake(wrong(Wrong::swizzle), {"without the 128-byte swizzle"});
  check_mistake(wrong(Wrong::start), {"does not begin at a multiple of 1024"});
  check_mistake(wrong(Wrong::half_a_group), {"gave wgmma different operands"});
  check_mistake(wrong(Wrong::different), {"gave wgmma different operands"});
  for (const float v : run_product<true>(x, Wrong::wait)) CHECK(std::isnan(v));
  CHECK(run_product<true>(x, Wrong::stride) != x.wanted);
  CHECK(run_product<false>(outer, Wrong::leading) != outer.wanted);
}
