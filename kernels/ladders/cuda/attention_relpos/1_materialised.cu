// Attention as it is written on paper, the first rung: the logits S = scale Q K^T + positions go to memory,
// each row becomes its softmax P in place, and O = P V reads it again. Heads follow each other, so that only
// one matrix of tokens x tokens exists: 67 MB in f32 at SAM's 4096 tokens, written twice and read twice. For
// ViT-B's 12 heads that is 3.2 GB, where q, k, v and the output are 25 MB in bf16. Positions come as SAM's
// modules have them, from a table of h + w numbers a query instead of h * w. Both products read their
// operands from the caches at every use; neighbouring threads read neighbouring keys, which are 4.6 KB apart.
#include "kernels/ladders/cuda/attention_relpos/grid.h"

namespace bp::cuda::relpos {
namespace {

constexpr int kThreads = 256, kRowsOfBlock = kThreads / kWarpSize;

// What relative positions add to the logits, as a table [units, h + w, tokens]: entry [u, ky, q] is what
// query q adds for keys in row ky of the grid, [u, h + kx, q] for keys in column kx, times log2(e). A thread
// has one entry.
template <class T>
__global__ void position_table(const Grid<T> a, float* table) {
  const i64 i = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x;
  const int t = static_cast<int>(i % a.tokens), key = static_cast<int>(i / a.tokens % (a.h + a.w));
  const i64 unit = i / a.tokens / (a.h + a.w);
  if (unit >= a.units) return;
  const T* const q = a.row(unit, 0, t);
  const T* const rel = key < a.h ? a.rel_h + (t / a.w - key + a.h - 1) * a.d
                                 : a.rel_w + (t % a.w - (key - a.h) + a.w - 1) * a.d;
  float sum = 0.0f;
  for (int c = 0; c < a.d; ++c) sum += load_f32(q[c]) * load_f32(rel[c]);
  table[i] = sum * kLog2E;
}

// A thread has one logit.
template <class T>
__global__ void scores(const Grid<T> a, i64 unit, const float* table, float* s) {
  const i64 i = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<i64>(a.tokens) * a.tokens) return;
  const int query = static_cast<int>(i / a.tokens), key = static_cast<int>(i % a.tokens);
  const T *const q = a.row(unit, 0, query), *const k = a.row(unit, 1, key);
  float dot = 0.0f;
  for (int c = 0; c < a.d; ++c) dot += load_f32(q[c]) * load_f32(k[c]);
  const float* const of_query = table + unit * (a.h + a.w) * a.tokens + query;
  const float position = of_query[static_cast<i64>(key / a.w) * a.tokens] +
                         of_query[static_cast<i64>(a.h + key % a.w) * a.tokens];
  s[i] = dot * a.scale2 + position;
}

// A warp has one row.
template <class T>
__global__ void softmax_rows(const Grid<T> a, i64 unit, float* s) {
  const int query = static_cast<int>(blockIdx.x * kRowsOfBlock + threadIdx.x / kWarpSize),
            lane = static_cast<int>(threadIdx.x % kWarpSize);
  if (query >= a.tokens) return;
  float* const row = s + static_cast<i64>(query) * a.tokens;
  float top = -__builtin_inff(), sum = 0.0f;
  for (int key = lane; key < a.tokens; key += kWarpSize) top = fmaxf(top, row[key]);
  top = warp_max(top);
  for (int key = lane; key < a.tokens; key += kWarpSize) sum += fast_exp2(row[key] - top);
  sum = warp_sum(sum);
  for (int key = lane; key < a.tokens; key += kWarpSize) row[key] = fast_exp2(row[key] - top) / sum;
  if (a.lse && lane == 0) a.lse[unit * a.tokens + query] = top / kLog2E + logf(sum);
}

// A thread has one number of the output.
template <class T>
__global__ void product(const Grid<T> a, i64 unit, const float* p) {
  const i64 i = static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<i64>(a.tokens) * a.d) return;
  const int query = static_cast<int>(i / a.d), c = static_cast<int>(i % a.d);
  const float* const row = p + static_cast<i64>(query) * a.tokens;
  const T* const v = a.row(unit, 2, 0) + c;
  float sum = 0.0f;
  for (int key = 0; key < a.tokens; ++key) sum += row[key] * load_f32(v[key * a.row_step]);
  a.out(unit, query)[c] = store_as<T>(sum);
}

template <class T>
void run(const WindowAttention& args) {
  const Grid<T> a(args);
  if (a.units == 0) return;
  const i64 tokens = a.tokens;
  const i64 entries = a.units * (a.h + a.w) * tokens;
  auto* const table = workspace<float>(0, entries);
  auto* const s = workspace<float>(1, tokens * tokens);
  const auto blocks = [](i64 n, i64 each) { return dim3(static_cast<unsigned>(ceil_div(n, each))); };
  launch(position_table<T>, blocks(entries, kThreads), dim3(kThreads), 0, a, table);
  for (i64 unit = 0; unit < a.units; ++unit) {
    launch(scores<T>, blocks(tokens * tokens, kThreads), dim3(kThreads), 0, a, unit, table, s);
    launch(softmax_rows<T>, blocks(tokens, kRowsOfBlock), dim3(kThreads), 0, a, unit, s);
    launch(product<T>, blocks(tokens * a.d, kThreads), dim3(kThreads), 0, a, unit, s);
  }
}

}  // namespace

bool takes_any_head(const WindowAttention& a) {
  return a.win_h == a.h && a.win_w == a.w && a.rel_h && a.rel_w && !a.bias;
}

void materialised(const WindowAttention& a) {
  a.dtype == DType::bf16 ? run<bf16>(a) : run<float>(a);
}

}  // namespace bp::cuda::relpos
