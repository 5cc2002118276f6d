// Sums over any axes. The work is cut into pieces that depend on the shape alone: blocks of the last axis,
// and chunks of the summed rows, whose partial sums are added in order.
#include <algorithm>

#include "kernels/cpu/axes.h"
#include "kernels/kernels.h"
#include "kernels/threads.h"

#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kBlock = 4096;   // elements of the last axis taken at once
constexpr i64 kPieces = 64;    // enough pieces for any number of cores
constexpr i64 kMinRun = 4096;  // elements below which a chunk is not cut further

template <class T>
float sum_run(const T* x, i64 n) {
  vf s[4] = {};
  i64 i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (int j = 0; j < 4; ++j) s[j] += load(x + i + j * kLanes);
  for (; i + kLanes <= n; i += kLanes) s[0] += load(x + i);
  if (i < n) s[1] += load_part(x + i, n - i);
  return sum_lanes((s[0] + s[1]) + (s[2] + s[3]));
}

template <class T>
void add_run(const T* x, float* sums, i64 n) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) store(sums + i, load(sums + i) + load(x + i));
  for (; i < n; ++i) sums[i] += to_f32(x[i]);
}

// The axes before the last, split into kept and summed ones.
struct Split {
  Axes kept, summed;  // a: strides of x, b: strides of y
};

Split split(const Axes& m) {
  Split s;
  for (int i = 0; i + 1 < m.rank; ++i) {
    Axes& to = m.b[i] == 0 ? s.summed : s.kept;
    to.dims[to.rank] = m.dims[i];
    to.a[to.rank] = m.a[i];
    to.b[to.rank] = m.b[i];
    ++to.rank;
  }
  return s;
}

template <class T>
void run(const k::SumTo& p) {
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  i64 xs[k::kMaxRank], stride = 1;
  for (int i = p.rank - 1; i >= 0; --i) {
    xs[i] = stride;
    stride *= p.dims[i];
  }
  if (stride == 0) return fill({p.y, p.y_numel, 0.0f, p.dtype});
  const Axes m = merge_axes(p.rank, p.dims, xs, p.ys);
  const Split s = split(m);
  const i64 n = m.dims[m.rank - 1], blocks = (n + kBlock - 1) / kBlock;
  const bool keep_last = m.b[m.rank - 1] != 0;
  const i64 kept = numel(s.kept.rank, s.kept.dims), summed = numel(s.summed.rank, s.summed.dims);

  // Units are what is added up for one group of outputs: rows where the last axis is kept, blocks where it is
  // summed.
  const i64 units = keep_last ? summed : summed * blocks, groups = keep_last ? kept * blocks : kept;
  const i64 width = keep_last ? std::min(n, kBlock) : 1;
  const i64 wanted =
      std::min(std::min((kPieces + groups - 1) / groups, units), units * std::min(n, kBlock) / kMinRun);
  const i64 per_chunk = (units + std::max<i64>(1, wanted) - 1) / std::max<i64>(1, wanted);
  const i64 chunks = (units + per_chunk - 1) / per_chunk;
  float* partial = scratch<float>(0, groups * chunks * width);

  const i64 piece_work = per_chunk * std::min(n, kBlock);
  parallel_for(groups * chunks, std::max<i64>(1, kMinRun / piece_work), [&](i64 begin, i64 end) {
    for (i64 piece = begin; piece < end; ++piece) {
      const i64 group = piece / chunks, first = piece % chunks * per_chunk;
      const i64 last = std::min(units, first + per_chunk);
      float* out = partial + piece * width;
      if (keep_last) {
        const i64 from = group % blocks * kBlock, count = std::min(kBlock, n - from);
        const Walk base(s.kept, s.kept.rank, group / blocks);
        Walk at(s.summed, s.summed.rank, first);
        for (i64 i = 0; i < count; ++i) out[i] = 0;
        for (i64 u = first; u < last; ++u, at.next()) add_run(x + base.a + at.a + from, out, count);
      } else {
        const Walk base(s.kept, s.kept.rank, group);
        Walk at(s.summed, s.summed.rank, first / blocks);
        float total = 0;
        for (i64 u = first; u < last; ++u) {
          const i64 from = u % blocks * kBlock;
          total += sum_run(x + base.a + at.a + from, std::min(kBlock, n - from));
          if (u % blocks == blocks - 1) at.next();
        }
        *out = total;
      }
    }
  });

  parallel_for(groups, std::max<i64>(1, kMinRun / (chunks * width)), [&](i64 begin, i64 end) {
    for (i64 group = begin; group < end; ++group) {
      const float* parts = partial + group * chunks * width;
      const i64 from = keep_last ? group % blocks * kBlock : 0;
      const i64 count = keep_last ? std::min(kBlock, n - from) : 1;
      T* out = y + Walk(s.kept, s.kept.rank, keep_last ? group / blocks : group).b + from;
      for (i64 i = 0; i < count; ++i) {
        float total = 0;
        for (i64 c = 0; c < chunks; ++c) total += parts[c * width + i];
        out[i] = from_f32<T>(p.scale * total);
      }
    }
  });
}

}  // namespace

void sum_to(const k::SumTo& p) {
  p.dtype == DType::f32 ? run<float>(p) : run<bf16>(p);
}
#include "kernels/cpu/isa_end.h"
