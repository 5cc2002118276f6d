// Self-attention in windows addressed by index (see k::WindowAttention). Units are (image, window, head).
// Small windows are whole tasks; a large one (SAM's global attention) is packed once by all threads, which
// then share its queries.
//
// Both kinds of position bias are, for one query and one row of keys, a vector over kx that is contiguous in
// memory: relative positions are rel_h[ky] + rel_w[kx], computed once per query, and TinyViT's table,
// mirrored to [dy][win_w - 1 + dx], is read at win_w - 1 - qx. Rows are written with whole vectors in
// ascending order, each overwriting what the one before wrote too far. Scratch slots: 0 (panels of a shared
// unit), 1 (mirrored tables), 2 (relative positions), 4 (panels of a unit), 5 (buffers of attend, position
// vectors of its queries).
#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/attend.h"
#include "kernels/cpu/windows.h"
#include "kernels/cpu/table.h"

constexpr i64 kSharedTokens = 1024;  // from here on one window is work for all threads

// SAM's table of one axis, [2 side - 1, d], reversed and transposed to [d][ld], so that the vector over k of
// q . table[at - k + side - 1] is a sum over c of q[c] times what is contiguous at side - 1 - at.
struct RelativeTable {
  float* data;
  i64 side, d, ld;
  static i64 row(i64 side) { return 2 * side - 1 + kLanes; }

  template <class T>
  RelativeTable(const T* table, i64 side_, i64 d_, float* memory)
      : data(memory), side(side_), d(d_), ld(row(side_)) {
    for (i64 c = 0; c < d; ++c)
      for (i64 i = 0; i < ld; ++i)
        data[c * ld + i] = i < 2 * side - 1 ? to_f32(table[(2 * side - 2 - i) * d + c]) : 0.0f;
  }
  // out[k] for k < side; writes whole vectors.
  template <class T>
  void dot(const T* q, i64 at, float* out) const {
    for (i64 j = 0; j < side; j += kLanes) {
      vf sum{};
      for (i64 c = 0; c < d; ++c) sum += splat(to_f32(q[c])) * load(data + c * ld + side - 1 - at + j);
      store(out + j, sum);
    }
  }
};

// TinyViT's table mirrored: entry [head][dy][win_w - 1 + dx] for dx of both signs.
template <class T>
static void mirror_tables(const k::WindowAttention& p, float* mirrored) {
  const i64 width = 2 * p.win_w - 1;
  const T* table = static_cast<const T*>(p.bias);
  for (i64 row = 0; row < p.heads * p.win_h; ++row)
    for (i64 i = 0; i < width; ++i)
      mirrored[row * width + i] = to_f32(table[row * p.win_w + std::abs(i - (p.win_w - 1))]);
}

template <class T>
static void run(const k::WindowAttention& p) {
  const Windows<T> windows(p);
  const i64 per_image = windows.down * windows.across, units = p.batch * per_image * p.heads;
  const i64 k_size = Unit::k_size(windows.tokens, p.d), v_size = Unit::v_size(windows.tokens, p.d);
  const bool relpos = p.rel_h != nullptr, table = p.bias != nullptr;
  const i64 mirrored_width = 2 * p.win_w - 1;
  float* const mirrored = table ? scratch<float>(1, p.heads * p.win_h * mirrored_width + kLanes) : nullptr;
  if (table) mirror_tables<T>(p, mirrored);
  const i64 rel_h_size = RelativeTable::row(p.win_h) * p.d;
  float* const rel = relpos ? scratch<float>(2, rel_h_size + RelativeTable::row(p.win_w) * p.d) : nullptr;
  const RelativeTable rel_h(static_cast<const T*>(p.rel_h), relpos ? p.win_h : 0, relpos ? p.d : 0, rel);
  const RelativeTable rel_w(static_cast<const T*>(p.rel_w), relpos ? p.win_w : 0, relpos ? p.d : 0,
                            rel + rel_h_size);
  const i64 by_row_size = p.win_h + kLanes, bias_rows = by_row_size + p.win_w + kLanes;

  const auto pack = [&](const Unit& unit, i64 u, i64 begin, i64 end) {
    const i64 head = u % p.heads, window = u / p.heads % per_image, image = u / p.heads / per_image;
    const i64 wy = window / windows.across, wx = window % windows.across;
    pack_keys<T>(
        unit, begin, end, [&](i64 t) { return windows.row(windows.index(image, wy, wx, t), head, 1); },
        [&](i64 t) { return windows.row(windows.index(image, wy, wx, t), head, 2); });
  };
  const auto queries = [&](const Unit& unit, i64 u, i64 begin, i64 end) {
    const i64 head = u % p.heads, window = u / p.heads % per_image, image = u / p.heads / per_image;
    const i64 wy = window / windows.across, wx = window % windows.across;
    float* memory = scratch<float>(5, AttendBuffers::size(p.d) + kQueryRows * bias_rows);
    const AttendBuffers buffers(memory, p.d);
    float* const position = memory + AttendBuffers::size(p.d);
    const auto query = [&](i64 t) { return windows.row(windows.index(image, wy, wx, t), head, 0); };
    if (relpos)
      for (i64 t = begin; t < end; ++t) {
        rel_h.dot(query(t), t / p.win_w, position + (t - begin) * bias_rows);
        rel_w.dot(query(t), t % p.win_w, position + (t - begin) * bias_rows + by_row_size);
      }
    const auto make_bias = [&](i64 t, i64 key0, i64 n, float* out) -> const float* {
      if (!relpos && !table) return nullptr;
      const float* const by_row = position + (t - begin) * bias_rows;
      const i64 qy = t / p.win_w, qx = t % p.win_w;
      for (i64 key = key0; key < key0 + n;) {
        const i64 ky = key / p.win_w, kx = key % p.win_w, count = std::min(p.win_w - kx, key0 + n - key);
        const float* from =
            relpos ? by_row + by_row_size
                   : mirrored + (head * p.win_h + std::abs(qy - ky)) * mirrored_width + p.win_w - 1 - qx;
        const vf add = splat(relpos ? by_row[ky] : 0.0f);
        for (i64 j = 0; j < count; j += kLanes) store(out + key - key0 + j, load(from + kx + j) + add);
        key += count;
      }
      for (i64 j = n; j < n + kLanes; ++j) out[j] = 0.0f;
      return out;
    };
    attend<T>(unit, begin, end, p.scale, buffers, query, make_bias, [&](i64 t, const float* o, float lse) {
      const i64 token = windows.index(image, wy, wx, t);
      if (token >= 0) store_row(static_cast<T*>(p.y) + token * windows.channels + head * p.d, o, p.d);
      if (p.lse) p.lse[u * windows.tokens + t] = lse;
    });
  };

  if (windows.tokens >= kSharedTokens) {
    float* const panels = scratch<float>(0, k_size + v_size);
    const Unit unit{windows.tokens, p.d, panels, panels + k_size};
    for (i64 u = 0; u < units; ++u) {
      parallel_for(windows.tokens, 4 * kNR, [&](i64 begin, i64 end) { pack(unit, u, begin, end); });
      parallel_for(windows.tokens, kQueryRows, [&](i64 begin, i64 end) { queries(unit, u, begin, end); });
    }
    return;
  }
  parallel_for(units, 1, [&](i64 first, i64 last) {
    for (i64 u = first; u < last; ++u) {
      float* panels = scratch<float>(4, k_size + v_size);
      const Unit unit{windows.tokens, p.d, panels, panels + k_size};
      pack(unit, u, 0, windows.tokens);
      for (i64 t = 0; t < windows.tokens; t += kQueryRows)
        queries(unit, u, t, std::min(windows.tokens, t + kQueryRows));
    }
  });
}

void window_attention(const k::WindowAttention& p) {
  if (p.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
