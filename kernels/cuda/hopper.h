// What Hopper (compute capability 9.0) has beyond tile.h: barriers that count arrivals and bytes, copies that
// one thread starts and that report to such a barrier, and wgmma, products of four warps whose operands stay
// in shared memory. Formats are those of the PTX manual (mbarrier, cp.async.bulk, tensor maps, wgmma).
// Elsewhere these functions are traps: ask compute_capability() == 90 before a launch.
#pragma once
#include "kernels/cuda/launch.h"

#include <stdexcept>

#ifdef BP_SIMT
#include "kernels/simt/hopper.h"
#else
#include <cuda.h>  // CUtensorMap, a type: the library does not link the driver
#endif

namespace bp::cuda {

// A matrix of bf16 that copy_tile takes tiles of box_rows x 64 from. A kernel has it as an argument
// `const __grid_constant__ TileMap`.
constexpr int kTileColumns = 64;
struct TileMap {
#ifdef BP_SIMT
  simt::TileMap map;
#else
  CUtensorMap map;
#endif
};

// On the host; `stride` elements lie between rows. Throws std::runtime_error unless rows and columns are at
// least 1, every row begins at a multiple of 16 bytes, and box_rows is 1 to 256.
TileMap make_tile_map(const void* matrix, i64 rows, i64 columns, i64 stride, unsigned box_rows);

inline bool mappable(const void* matrix, i64 stride) {
  return reinterpret_cast<std::uintptr_t>(matrix) % 16 == 0 && stride % 8 == 0;
}
inline void require_mappable(const void* matrix, i64 rows, i64 columns, i64 stride, unsigned box_rows) {
  if (rows < 1 || columns < 1 || !mappable(matrix, stride) || box_rows < 1 || box_rows > 256)
    throw std::runtime_error("cuda: a matrix that cannot be copied in tiles");
}

#if defined(BP_SIMT) || defined(__CUDACC__)

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define BP_HOPPER(...) __trap()
#else
#define BP_HOPPER(...) asm volatile(__VA_ARGS__)
#endif

#ifndef BP_SIMT
__device__ __forceinline__ unsigned shared_address(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}
#endif

// The first address from `shared` on that is a multiple of 1024, where tiles have to begin.
__device__ __forceinline__ unsigned char* align_tiles(
    unsigned char* shared, [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  const unsigned address = simt::shared_address(shared, place);
#else
  const unsigned address = shared_address(shared);
#endif
  return shared + (1024 - address % 1024) % 1024;
}

// A barrier in shared memory. Phase 0, 1, ... of it is complete when so many threads have arrived as init
// said and all announced bytes have come; the next phase then begins.
struct alignas(8) Barrier {
  std::uint64_t state;
};

// By one thread, which then calls publish_barriers() before a __syncthreads().
__device__ __forceinline__ void init_barrier(
    Barrier* barrier, unsigned arrivals,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::init_barrier(barrier, arrivals, place);
#else
  BP_HOPPER("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
            : "memory");
#endif
}
__device__ __forceinline__ void publish_barriers() {
#ifdef BP_SIMT
  simt::fence_barriers();
#else
  BP_HOPPER("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

__device__ __forceinline__ void arrive(
    Barrier* barrier, [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::arrive(barrier, 0, place);
#else
  BP_HOPPER("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#endif
}
// Arrives, and the phase waits for so many bytes more.
__device__ __forceinline__ void arrive_expecting(
    Barrier* barrier, unsigned bytes,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::arrive(barrier, bytes, place);
#else
  BP_HOPPER("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
            "r"(bytes)
            : "memory");
#endif
}

// Returns when the phase of this parity (0 for the even ones) is complete; at once where the barrier is in a
// phase of the other parity, so of a fresh barrier parity 1 is.
__device__ __forceinline__ void wait_phase(
    Barrier* barrier, unsigned parity,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::wait_phase(barrier, parity, place);
#else
  BP_HOPPER(
      "{\n.reg .pred complete;\n"
      "again:\nmbarrier.try_wait.parity.shared::cta.b64 complete, [%0], %1;\n"
      "@complete bra done;\nbra again;\ndone:\n}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#endif
}

// Copies `bytes` (addresses and size multiples of 16) from device to shared memory; the barrier gets the
// bytes.
__device__ __forceinline__ void copy_bulk(
    void* shared, const void* global, unsigned bytes, Barrier* barrier,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::copy_bulk(shared, global, bytes, barrier, place);
#else
  BP_HOPPER("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                shared_address(shared)),
            "l"(global), "r"(bytes), "r"(shared_address(barrier))
            : "memory");
#endif
}
// Copies the tile of a matrix that begins at (row, column), box_rows x 64; what is outside of the matrix
// becomes zeros. Rows of 128 bytes follow each other from `shared` (a multiple of 1024) on, chunk c of 16
// bytes of row r at c ^ (r % 8): the 128-byte swizzle, as wgmma reads it. The barrier gets 128 box_rows
// bytes.
__device__ __forceinline__ void copy_tile(
    void* shared, const TileMap& map, int row, int column, Barrier* barrier,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::copy_tile(shared, map.map, row, column, barrier, place);
#else
  BP_HOPPER(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
      "%3}], "
      "[%4];" ::"r"(shared_address(shared)),
      "l"(&map.map), "r"(column), "r"(row), "r"(shared_address(barrier))
      : "memory");
#endif
}

// Makes what this thread wrote to shared memory visible to wgmma (and to copies): before the barrier behind
// which another thread, or this one, starts those.
__device__ __forceinline__ void publish_to_async() {
#ifdef BP_SIMT
  simt::fence_async();
#else
  BP_HOPPER("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// An operand of wgmma in tiles that copy_tile made, in bytes. Where the depth runs along the 64 columns of a
// tile: eight rows further is `stride`, and sixteen of the depth further 32 bytes on, `leading` is not used.
// Where the span runs along the columns: eight rows of the depth further is `stride`, 64 of the span
// `leading`.
__device__ __forceinline__ std::uint64_t wgmma_operand(
    const void* shared, unsigned leading, unsigned stride,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  const unsigned address = simt::shared_address(shared, place);
#else
  const unsigned address = shared_address(shared);
#endif
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62;
  return kSwizzle128 | std::uint64_t{stride >> 4} << 32 | std::uint64_t{leading >> 4} << 16 |
         (address & 0x3ffff) >> 4;
}
// The operand that begins so many bytes further.
__device__ __forceinline__ std::uint64_t advanced(std::uint64_t operand, unsigned bytes) {
  return operand + (bytes >> 4);
}

// Before the first product, and after the sums may have been touched.
__device__ __forceinline__ void fence_wgmma() {
#ifdef BP_SIMT
  simt::fence_wgmma();
#else
  BP_HOPPER("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
// Products since the last commit are a group.
__device__ __forceinline__ void commit_wgmma() {
#ifdef BP_SIMT
  simt::commit_wgmma();
#else
  BP_HOPPER("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Returns when all but the last `Left` groups are computed.
template <int Left>
__device__ __forceinline__ void wait_wgmma(
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::wait_wgmma(Left, place);
#else
  BP_HOPPER("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
#endif
}
// All groups are computed, and the compiler may read the sums only from here on.
template <int N>
__device__ __forceinline__ void wait_sums(
    [[maybe_unused]] float (&sums)[N],
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
  wait_wgmma<0>(place);
#ifndef BP_SIMT
#pragma unroll
  for (int i = 0; i < N; ++i) BP_HOPPER("" : "+f"(sums[i])::"memory");
#endif
}

// sums = A B, or sums += A B with `add`: A [64,16], B [16,256] in bf16, by a warpgroup, in the background.
// The depth of A runs along its tile's columns, and that of B with BDepthInner. Sum 4 j + i of lane l in warp
// w of the group is that of row 16 w + l / 4 + 8 (i / 2) and column 8 j + 2 (l % 4) + i % 2.
template <bool BDepthInner>
__device__ __forceinline__ void wgmma_256(
    float (&sums)[128], std::uint64_t a, std::uint64_t b, bool add,
    [[maybe_unused]] std::source_location place = std::source_location::current()) {
#ifdef BP_SIMT
  simt::wgmma(sums, 256, a, b, BDepthInner, add, place);
#else
#define BP_SUMS(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define BP_SUMS_16(i) BP_SUMS(i), BP_SUMS(i + 4), BP_SUMS(i + 8), BP_SUMS(i + 12)
  BP_HOPPER(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
      "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"
      "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
      "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"
      "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}, "
      "%128, %129, add, 1, 1, 0, %131;\n}"
      : BP_SUMS_16(0), BP_SUMS_16(16), BP_SUMS_16(32), BP_SUMS_16(48), BP_SUMS_16(64), BP_SUMS_16(80),
        BP_SUMS_16(96), BP_SUMS_16(112)
      : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(BDepthInner ? 0 : 1));
#undef BP_SUMS_16
#undef BP_SUMS
#endif
}

// Gives registers of the calling warpgroup back, or takes what others gave: each of its threads has Count
// then (a multiple of 8). The kernel needs a register limit, so __launch_bounds__(threads, blocks).
template <int Count>
__device__ __forceinline__ void give_registers() {
#ifndef BP_SIMT
  BP_HOPPER("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}
template <int Count>
__device__ __forceinline__ void take_registers() {
#ifndef BP_SIMT
  BP_HOPPER("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Count));
#endif
}

#undef BP_HOPPER
#endif

}  // namespace bp::cuda
