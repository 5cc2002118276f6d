// What the emulator's files share.
#pragma once
#include <string>

#include "kernels/cuda/launch.h"

namespace bp::simt {

constexpr unsigned char kPoison = 0xff;  // of every byte that nobody wrote

// All blocks of a launch, on all threads of the pool. Throws what a block threw first.
void run_blocks(dim3 grid, dim3 block, std::size_t shared_bytes, const cuda::Work& work, Place place);

// One cp.async, late: `bytes` copied and `zeros` zeros behind them. In a file that ThreadSanitizer watches.
void perform(void* shared, const void* global, std::size_t bytes, std::size_t zeros);
// The destination of a bulk copy that begins: from here on the copy may write. Watched, too.
void poison(void* shared, std::size_t bytes);

// By hand: memset would be seen by ThreadSanitizer as the running lane's.
void fill(unsigned char* to, unsigned char byte, std::size_t count);

// Something that a lane waits for beside the barriers of its warp and block.
class Event {
 public:
  virtual bool happened() const = 0;
  virtual std::string missing() const = 0;  // for the message where it never happens

 protected:
  ~Event() = default;
};
void wait_for(const Event& event, Place place);

// Of the running lane and its block. Offsets count bytes from the begin of the window in which all shared
// arrays of a block stand, as a GPU's 32-bit shared addresses do.
unsigned lane_in_block();
std::size_t window_offset(const void* shared, std::size_t bytes, Place place);  // within one array
unsigned char* window();
std::size_t window_size();
[[noreturn]] void mistake_of_block(const std::string& what);

// Bulk copies and their barriers (bulk.cpp), and products of a warpgroup (wgmma.cpp), which the machine calls
// at the begin and end of each block, and where a lane has returned.
void begin_bulk();
void end_bulk();
void begin_wgmma(unsigned lanes);
void end_wgmma(unsigned lanes);
void end_wgmma_lane(Place place);

// The window as bulk copies and wgmma see it: what lanes write themselves appears there at
// fence.proxy.async only.
const unsigned char* async_window();

// An operand of wgmma in the window, its rows or columns in atoms of 8 x 128 bytes whose chunks of 16 bytes
// are exchanged (128-byte swizzle). Which bytes follow each other there: elements along the depth, or along
// the span.
struct WgmmaOperand {
  std::size_t start, leading, stride;
  bool depth_inner;
};
enum class WgmmaFault { none, outside, unfenced };
// Adds a lane's part of A B to its columns / 2 sums. In a file that ThreadSanitizer watches.
WgmmaFault add_wgmma(float* sums, unsigned lane_in_group, int columns, const WgmmaOperand& a,
                     const WgmmaOperand& b);

}  // namespace bp::simt
