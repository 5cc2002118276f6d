// What TDPBF16PS and its like do, from the manual's pseudocode.
#include "kernels/cpu/amx.h"

#include <cstring>
#include <stdexcept>

namespace bp::cpu::amx {
namespace {

bool stand_in_on = false;

struct State {
  bool configured = false;
  Config config;
  u8 tiles[8][16][64];
};
thread_local State state;

State& configured(int t) {
  if (!state.configured || state.config.rows[t] == 0)
    throw std::runtime_error("AMX: a tile is used that is not configured");
  return state;
}

}  // namespace

void use_stand_in(bool on) {
  stand_in_on = on;
}
bool stand_in() {
  return stand_in_on;
}

void StandIn::configure(const Config& config) {
  state.config = config;
  state.configured = true;
  std::memset(state.tiles, 0, sizeof state.tiles);
}
void StandIn::release() {
  state.configured = false;
}

void StandIn::zero_tile(int t) {
  std::memset(configured(t).tiles[t], 0, sizeof state.tiles[t]);
}

void StandIn::load_tile(int t, const void* from, i64 stride_bytes) {
  const State& s = configured(t);
  zero_tile(t);
  for (int i = 0; i < s.config.rows[t]; ++i)
    std::memcpy(state.tiles[t][i], static_cast<const char*>(from) + i * stride_bytes, s.config.row_bytes[t]);
}

void StandIn::store_tile(int t, void* to, i64 stride_bytes) {
  const State& s = configured(t);
  for (int i = 0; i < s.config.rows[t]; ++i)
    std::memcpy(static_cast<char*>(to) + i * stride_bytes, s.tiles[t][i], s.config.row_bytes[t]);
}

// c[m][n] += a[m][2 k] b[k][2 n] + a[m][2 k + 1] b[k][2 n + 1]
void StandIn::dot_tiles(int c, int a, int b) {
  const Config& config = configured(c).config;
  const int rows = config.rows[c], pairs = config.row_bytes[a] / 4, columns = config.row_bytes[c] / 4;
  if (configured(a).config.rows[a] != rows || configured(b).config.rows[b] != pairs ||
      config.row_bytes[b] / 4 != columns)
    throw std::runtime_error("AMX: sizes of tiles do not fit");
  for (int m = 0; m < rows; ++m) {
    float sums[16];
    bf16 left[32], right[32];
    std::memcpy(sums, state.tiles[c][m], sizeof sums);
    std::memcpy(left, state.tiles[a][m], sizeof left);
    for (int k = 0; k < pairs; ++k) {
      std::memcpy(right, state.tiles[b][k], sizeof right);
      for (int n = 0; n < columns; ++n)
        for (int half = 0; half < 2; ++half)
          sums[n] += to_f32(left[2 * k + half]) * to_f32(right[2 * n + half]);
    }
    std::memcpy(state.tiles[c][m], sums, sizeof sums);
  }
}

}  // namespace bp::cpu::amx
