// Gradients of window attention with a bias table or none. A task is (chunk of windows, head): it writes the
// gradients of its own tokens, and adds what all windows share (table, padding) into sums of its own, which
// are then added up in order. The number of chunks is fixed, so the result does not depend on the number of
// threads. Scratch slots: 0 (sums of the chunks),
// 1 (the table's index of every pair of tokens), 5 (buffers of a unit).
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
  std::int32_t* const table_index = scratch<std::int32_t>(1, n * n);  // of query i and key j
  for (i64 i = 0; i < n; ++i)
    for (i64 j = 0; j < n; ++j)
      table_index[i * n + j] = static_cast<std::int32_t>(std::abs(i / p.win_w - j / p.win_w) * p.win_w +
                                                         std::abs(i % p.win_w - j % p.win_w));

  parallel_for(chunks * p.heads, 1, [&](i64 first, i64 last) {
    for (i64 task = first; task < last; ++task) {
      const i64 chunk = task / p.heads, head = task % p.heads;
      float* const dtable = sums + chunk * sums_size + head * n;
      float* const dpad = sums + chunk * sums_size + table_size + head * windows.head_step;
      float* const buffer = scratch<float>(5, n * n + BackwardBuffers::size(n, n, d));
      float* const dl_sum = buffer;  // of all windows
      const BackwardBuffers m(buffer + n * n, n, n, d);
      if (table)
        for (i64 i = 0; i < n * n; ++i) m.bias[i] = to_f32(table[head * n + table_index[i]]);
      if (args.dbias) std::fill(dl_sum, dl_sum + n * n, 0.0f);
      for (i64 w = count * chunk / chunks; w < count * (chunk + 1) / chunks; ++w) {
        const i64 image = w / per_image, wy = w % per_image / windows.across, wx = w % windows.across;
        for (i64 t = 0; t < n; ++t) {
          const i64 token = windows.index(image, wy, wx, t);
          load_row(m.q + t * d, windows.row(token, head, 0), d);
          load_row(m.k + t * d, windows.row(token, head, 1), d);
          load_row(m.v + t * d, windows.row(token, head, 2), d);
          if (token >= 0)
            load_row(m.dout + t * d, static_cast<const T*>(args.dout) + token * windows.channels + head * d,
                     d);
          else
            std::fill(m.dout + t * d, m.dout + (t + 1) * d, 0.0f);
        }
        attend_backward({n, n, d, p.scale, m.q, m.k, m.v, m.dout, p.lse + (w * p.heads + head) * n,
                         table ? m.bias : nullptr, m.dq, m.dk, m.dv, m.p, m.dl});
        const float* const parts[3] = {m.dq, m.dk, m.dv};
        for (i64 t = 0; t < n; ++t) {
          const i64 token = windows.index(image, wy, wx, t);
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
        }
        if (args.dbias)
          each_vector(n * n, [&](i64 i, i64 part) {
            store(dl_sum + i, load(dl_sum + i, part) + load(m.dl + i, part), part);
          });
      }
      if (args.dbias)
        for (i64 i = 0; i < n * n; ++i) dtable[table_index[i]] += dl_sum[i];
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
