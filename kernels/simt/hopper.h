// What kernels/cuda/hopper.h means on the emulator. Stricter than a GPU:
//   - The destination of a bulk copy holds NaN bytes from the copy's start until its barrier was waited for.
//   - wgmma computes when it is waited for; until then its sums are NaN.
//   - A wait that nothing fulfils, an arrival too many, bytes that were not announced, a copy that nobody
//     waited for, sums that were touched too early, and a missing fence are mistakes.
#pragma once
#include "kernels/dtype.h"
#include "kernels/simt/simt.h"

namespace bp::simt {

// A matrix of 16-bit elements, to be copied in tiles of box_rows x 64.
struct TileMap {
  const void* matrix;
  i64 rows, columns, stride;
  unsigned box_rows;
};

void init_barrier(void* barrier, unsigned arrivals, Place place);
void fence_barriers();
void arrive(void* barrier, std::size_t bytes, Place place);  // after announcing so many bytes
void wait_phase(void* barrier, unsigned parity, Place place);
void copy_bulk(void* shared, const void* global, std::size_t bytes, void* barrier, Place place);
void copy_tile(void* shared, const TileMap& map, i64 row, i64 column, void* barrier, Place place);
void fence_async();

std::uint32_t shared_address(const void* shared, Place place);
void fence_wgmma();
void wgmma(float* sums, int columns, std::uint64_t a, std::uint64_t b, bool b_depth_inner, bool add,
           Place place);
void commit_wgmma();
void wait_wgmma(int groups_left, Place place);

}  // namespace bp::simt
