// Gradients of window attention with a bias table or none. A task is (chunk of windows, head): it writes the
// gradients of its own tokens, and adds what all windows share (table, padding) into sums of its own, which
// are then added up in order. The number of chunks is fixed, so the result does not depend on the number of
// threads. Scratch slots: 0 (sums of the chunks), 1 (positions), 4 (places, sums of a task), 5 (buffers of a
// unit, positions of its queries).
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/product_pack.h"
#include "kernels/cpu/product_tiles.h"
#include "kernels/cpu/attend_weights.h"
#include "kernels/cpu/attend.h"
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/windows.h"
#include "kernels/cpu/window_positions.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kChunks = 16;

template <class T>
void add_up(const float* sums, i64 chunks, i64 stride, i64 n, T* out) {
  for (i64 i = 0; i < n; ++i) {
    float s = 0.0f;
    for (i64 c = 0; c < chunks; ++c) s += sums[c * stride + i];
    out[i] = from_f32<T>(s);
  }
}

// The gradient of one head's table before it is folded: [qx][|qy - ky|][kx]. Of a row of dL, what belongs to
// one row of keys is added as it lies.
struct TableSums {
  i64 win_h, win_w;
  float* sums;
  static i64 ld(i64 win_w) { return round_up(win_w, kLanes); }
  static i64 size(i64 win_h, i64 win_w) { return win_w * win_h * ld(win_w); }

  void clear() const { std::fill(sums, sums + size(win_h, win_w), 0.0f); }
  // The row of query t; up to kLanes - 1 numbers beyond it are read.
  void add(i64 t, const float* dl) const {
    const i64 qy = t / win_w, qx = t % win_w, step = ld(win_w);
    for (i64 ky = 0; ky < win_h; ++ky, dl += win_w) {
      float* const to = sums + (qx * win_h + std::abs(qy - ky)) * step;
      for (i64 x = 0; x < win_w; x += kLanes) store(to + x, load(to + x) + load(dl + x));
    }
  }
  void fold(float* table) const {
    const float* from = sums;
    for (i64 qx = 0; qx < win_w; ++qx)
      for (i64 dy = 0; dy < win_h; ++dy, from += ld(win_w))
        for (i64 kx = 0; kx < win_w; ++kx) table[dy * win_w + std::abs(qx - kx)] += from[kx];
  }
};

// Where a token is: its rows of qkv (or pad) and of dout (or zeros), and of dqkv, null where the window
// sticks out.
template <class T>
struct Place {
  const T *in, *dout;
  T* dqkv;
};

template <class Tile, class T>
struct Gradients {
  const k::WindowAttentionBackward& args;
  const k::WindowAttention& p = args.forward;
  const Windows<T> windows{p};
  const Positions<Tile> positions{p, static_cast<const T*>(nullptr)};
  const i64 n = windows.tokens, per_image = windows.down * windows.across, count = p.batch * per_image;
  const i64 chunks = std::min(kChunks, count), table_size = p.heads * n, pad_size = 3 * windows.channels;
  const i64 sums_size = table_size + pad_size;

  void find_places(i64 w, const T* zeros, Place<T>* to) const {
    const i64 window = w % per_image, c = windows.channels;
    windows.each_token(
        w / per_image, window / windows.across, window % windows.across, [&](i64 t, i64 token) {
          const T* const dout = token < 0 ? zeros : static_cast<const T*>(args.dout) + token * c;
          to[t] = {windows.row(token, 0, 0), dout,
                   token < 0 ? nullptr : static_cast<T*>(args.dqkv) + token * 3 * c};
        });
  }
  // Rows of a window lie apart in memory, a few cache lines each: too short for the processor to foresee
  // them.
  void prefetch(const Place<T>* place, i64 head, i64 begin, int rows) const {
    for (i64 t = begin; t < begin + rows; ++t) {
      fetch(place[t].dout + head * p.d, p.d);
      for (int part = 0; part < 3; ++part) {
        const i64 at = head * windows.head_step + part * windows.part_step;
        fetch(place[t].in + at, p.d);
        if (place[t].dqkv) fetch(place[t].dqkv + at, p.d);
      }
    }
  }
  // d numbers of part 0, 1 or 2 of a token's gradient.
  void put(const Place<T>& place, i64 head, int part, const float* from, float factor, float* dpad) const {
    const i64 at = part * windows.part_step;
    if (place.dqkv) return store_row(place.dqkv + head * windows.head_step + at, from, factor, p.d);
    for (i64 c = 0; c < p.d; ++c) dpad[at + c] += factor * from[c];
  }

  // `next`: the places of the window to come, or null.
  void window(const BackwardUnit<Tile>& unit, i64 w, i64 head, const Place<T>* place, const Place<T>* next,
              const TableSums& table, float* dpad) const {
    const i64 first = head * windows.head_step, step = windows.part_step;
    const auto part = [=](i64 i) { return [=](i64 t) { return place[t].in + first + i * step; }; };
    attend_backward(
        unit,
        BackwardRows{part(0), [=, this](i64 t) { return place[t].dout + head * p.d; }, part(1), part(2)},
        p.scale, p.lse + (w * p.heads + head) * n,
        [&](i64 t, int rows, i64 key0, i64, const auto& f) { positions.with_table(head, t, rows, key0, f); },
        [&](i64 t, int rows) {
          for (int i = 0; i < rows; ++i) {
            put(place[t + i], head, 0, unit.dq + i * unit.o_ld, p.scale, dpad);
            if (args.dbias) table.add(t + i, unit.dl_rows + i * unit.row_ld);
          }
          if (next) prefetch(next, head, t, rows);
        });
    for (i64 t = 0; t < n; ++t) {
      put(place[t], head, 1, unit.dk + t * unit.o_ld, p.scale, dpad);
      put(place[t], head, 2, unit.dv + t * unit.o_ld, 1.0f, dpad);
    }
  }

  void task(i64 chunk, i64 head, float* sums) const {
    const i64 table_sums = TableSums::size(p.win_h, p.win_w), channels = windows.channels;
    const BackwardUnit<Tile> unit(n, n, p.d, scratch<float>(5, BackwardUnit<Tile>::size(n, n, p.d)));
    Place<T>* place = reinterpret_cast<Place<T>*>(
        scratch<char>(4, 2 * n * static_cast<i64>(sizeof(Place<T>)) + 4 * (table_sums + channels)));
    Place<T>* next = place + n;
    const TableSums table{p.win_h, p.win_w, reinterpret_cast<float*>(next + n)};
    T* const zeros = reinterpret_cast<T*>(table.sums + table_sums);
    std::fill(zeros, zeros + channels, T{});
    table.clear();
    const i64 begin = count * chunk / chunks, end = count * (chunk + 1) / chunks;
    find_places(begin, zeros, next);
    for (i64 w = begin; w < end; ++w) {
      std::swap(place, next);
      if (w + 1 < end) find_places(w + 1, zeros, next);
      window(unit, w, head, place, w + 1 < end ? next : nullptr, table,
             sums + table_size + head * windows.head_step);
    }
    if (args.dbias) table.fold(sums + head * n);
  }

  void run() const {
    float* const sums = scratch<float>(0, chunks * sums_size);
    std::fill(sums, sums + chunks * sums_size, 0.0f);
    parallel_for(chunks * p.heads, 1, [&](i64 first, i64 last) {
      Tile::begin();
      for (i64 i = first; i < last; ++i) task(i / p.heads, i % p.heads, sums + i / p.heads * sums_size);
      Tile::end();
    });
    if (args.dbias) add_up(sums, chunks, sums_size, table_size, static_cast<T*>(args.dbias));
    if (args.dpad) add_up(sums + table_size, chunks, sums_size, pad_size, static_cast<T*>(args.dpad));
  }
};

template <class T>
void run(const k::WindowAttentionBackward& p) {
  with_tile<T>([&](auto tile) { Gradients<decltype(tile), T>{p}.run(); });
}

}  // namespace

void window_attention_backward(const k::WindowAttentionBackward& p) {
  if (p.forward.rel_h) throw std::logic_error("window_attention: no gradient with relative positions");
  if (p.forward.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
