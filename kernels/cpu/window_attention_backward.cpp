// Gradients of window attention with a bias table or none. A task is (chunk of windows, head): it writes the
// gradients of its own tokens, and adds what all windows share (table, padding) into sums of its own, which
// are then added up in order. The number of chunks is fixed, so the result does not depend on the number of
// threads. Scratch slots: 0 (sums of the chunks),
// 5 (buffers of a unit).
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/windows.h"
#include "kernels/cpu/table.h"
#include "kernels/cpu/attention_backward.h"

constexpr i64 kChunks = 16;

template <class T>
static void add_up(const float* sums, i64 chunks, i64 stride, i64 n, T* out) {
  for (i64 i = 0; i < n; ++i) {
    float s = 0.0f;
    for (i64 c = 0; c < chunks; ++c) s += sums[c * stride + i];
    out[i] = from_f32<T>(s);
  }
}

// One head's table by signed distance, [dy][win_w - 1 + dx]: what keys of one row have beside one query, over
// kx, are neighbours. Matrices of queries x keys are read and written in whole vectors, up to kLanes - 1
// beyond their ends.
struct SignedTable {
  const k::WindowAttention& p;
  i64 width = 2 * p.win_w - 1;
  i64 size() const { return p.win_h * width + kLanes; }

  // body(i, j) for every row of keys of every query: where it begins in the matrix, and in the table.
  template <class Body>
  void each_row(const Body& body) const {
    i64 i = 0;
    for (i64 qy = 0; qy < p.win_h; ++qy)
      for (i64 qx = 0; qx < p.win_w; ++qx)
        for (i64 ky = 0; ky < p.win_h; ++ky, i += p.win_w)
          body(i, std::abs(qy - ky) * width + p.win_w - 1 - qx);
  }
  // A table [win_h][win_w] to a matrix, by way of `distances`.
  template <class T>
  void read(const T* table, float* distances, float* matrix) const {
    for (i64 y = 0; y < p.win_h; ++y)
      for (i64 x = 0; x < width; ++x)
        distances[y * width + x] = to_f32(table[y * p.win_w + std::abs(x - (p.win_w - 1))]);
    each_row([&](i64 i, i64 j) {
      for (i64 x = 0; x < p.win_w; x += kLanes) store(matrix + i + x, load(distances + j + x));
    });
  }
  // Adds a matrix to a table.
  void add(const float* matrix, float* distances, float* table) const {
    std::fill(distances, distances + size(), 0.0f);
    vi lane;
    for (int i = 0; i < kLanes; ++i) lane[i] = i;
    each_row([&](i64 i, i64 j) {
      for (i64 x = 0; x < p.win_w; x += kLanes) {
        const vf more = lane < static_cast<std::int32_t>(p.win_w - x) ? load(matrix + i + x) : vf{};
        store(distances + j + x, load(distances + j + x) + more);
      }
    });
    for (i64 y = 0; y < p.win_h; ++y)
      for (i64 x = 0; x < width; ++x)
        table[y * p.win_w + std::abs(x - (p.win_w - 1))] += distances[y * width + x];
  }
};

template <class T>
static void run(const k::WindowAttentionBackward& args) {
  const k::WindowAttention& p = args.forward;
  const Windows<T> windows(p);
  const i64 n = windows.tokens, d = p.d, per_image = windows.down * windows.across,
            count = p.batch * per_image;
  const i64 chunks = std::min(kChunks, count), table_size = p.heads * n, pad_size = 3 * windows.channels;
  const i64 sums_size = table_size + pad_size;
  float* const sums = scratch<float>(0, chunks * sums_size);
  std::fill(sums, sums + chunks * sums_size, 0.0f);
  const T* table = static_cast<const T*>(p.bias);
  const T* const dout = static_cast<const T*>(args.dout);
  const SignedTable signed_table{p};
  // Asks for a part of what window w reads and writes, while the one before is worked on: its rows are too
  // short for the processor to foresee them.
  const auto fetch_stage = [&](i64 head, i64 w, int stage) {
    const i64 first = n * stage / kBackwardStages, last = n * (stage + 1) / kBackwardStages;
    windows.each_token(w / per_image, w % per_image / windows.across, w % windows.across,
                       [&](i64 t, i64 token) {
                         if (t < first || t >= last || token < 0) return;
                         for (int part = 0; part < 3; ++part) {
                           const T* const row = windows.row(token, head, part);
                           fetch(row, d);
                           fetch(static_cast<const T*>(args.dqkv) + (row - static_cast<const T*>(p.qkv)), d);
                         }
                         fetch(dout + token * windows.channels + head * d, d);
                       });
  };
  parallel_for(chunks * p.heads, 1, [&](i64 first, i64 last) {
    for (i64 task = first; task < last; ++task) {
      const i64 chunk = task / p.heads, head = task % p.heads;
      float* const dtable = sums + chunk * sums_size + head * n;
      float* const dpad = sums + chunk * sums_size + table_size + head * windows.head_step;
      float* const dl_sum =  // of all windows
          scratch<float>(5, n * n + BackwardBuffers::size(n, n, d) + kLanes + signed_table.size());
      const BackwardBuffers m(dl_sum + n * n, n, n, d);
      float* const distances = dl_sum + n * n + BackwardBuffers::size(n, n, d) + kLanes;
      if (table) signed_table.read(table + head * n, distances, m.bias);
      if (args.dbias) std::fill(dl_sum, dl_sum + n * n, 0.0f);
      const i64 end = count * (chunk + 1) / chunks;
      for (i64 w = count * chunk / chunks; w < end; ++w) {
        const i64 image = w / per_image, wy = w % per_image / windows.across, wx = w % windows.across;
        windows.each_token(image, wy, wx, [&](i64 t, i64 token) {
          load_row(m.q + t * d, windows.row(token, head, 0), d);
          load_row(m.k + t * d, windows.row(token, head, 1), d);
          load_row(m.v + t * d, windows.row(token, head, 2), d);
          if (token >= 0)
            load_row(m.dout + t * d, dout + token * windows.channels + head * d, d);
          else
            std::fill(m.dout + t * d, m.dout + (t + 1) * d, 0.0f);
        });
        attend_backward({n, n, d, p.scale, m.q, m.k, m.v, m.dout, p.lse + (w * p.heads + head) * n,
                         table ? m.bias : nullptr, m.dq, m.dk, m.dv, m.p, m.dl},
                        [&](int stage) {
                          if (w + 1 < end) fetch_stage(head, w + 1, stage);
                        });
        const float* const parts[3] = {m.dq, m.dk, m.dv};
        windows.each_token(image, wy, wx, [&](i64 t, i64 token) {
          for (int part = 0; part < 3; ++part) {
            const float* from = parts[part] + t * d;
            const i64 at = head * windows.head_step + part * windows.part_step;
            if (token >= 0) {
              store_row(static_cast<T*>(args.dqkv) + token * 3 * windows.channels + at, from, d);
            } else {
              float* to = dpad + part * windows.part_step;
              for (i64 c = 0; c < d; ++c) to[c] += from[c];
            }
          }
        });
        if (args.dbias)
          each_vector(n * n, [&](i64 i, i64 part) {
            store(dl_sum + i, load(dl_sum + i, part) + load(m.dl + i, part), part);
          });
      }
      if (args.dbias) signed_table.add(dl_sum, distances, dtable);
    }
  });
  if (args.dbias) add_up(sums, chunks, sums_size, table_size, static_cast<T*>(args.dbias));
  if (args.dpad) add_up(sums + table_size, chunks, sums_size, pad_size, static_cast<T*>(args.dpad));
}

void window_attention_backward(const k::WindowAttentionBackward& p) {
  if (p.forward.rel_h) throw std::logic_error("window_attention: no gradient with relative positions");
  if (p.forward.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
