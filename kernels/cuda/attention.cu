// softmax(scale q k^T) v for queries and keys that are plain lists; the kernel is attend.h's. Where few
// queries meet many keys (the mask decoder's 7 and 4096), blocks share the keys of a unit and a second kernel
// puts their results together.
#include "kernels/cuda/attend.h"

namespace bp::cuda {
namespace {

constexpr int kKeysOfPart = 64;  // a multiple of every plan's tile
constexpr int kMostParts = 64;

// Sums of parts: o = sum of o_i 2^(max_i - max) / sum of sum_i 2^(max_i - max), in order. A warp has a query.
template <class T>
__global__ void combine(const Lists<T> source, KeyParts split) {
  const i64 rows = source.units * source.queries,
            row = static_cast<i64>(blockIdx.x) * (blockDim.x / kWarpSize) + warp_id();
  if (row >= rows) return;  // whole warps
  float top = -__builtin_inff(), total = 0.0f;
  for (int part = 0; part < split.parts; ++part) top = fmaxf(top, split.stats[part * rows + row].x);
  for (int part = 0; part < split.parts; ++part) {
    const float2 stats = split.stats[part * rows + row];
    total += stats.y * fast_exp2(stats.x - top);
  }
  const auto unit = source.unit(row / source.queries);
  T* const to = source.o + unit.out(static_cast<int>(row % source.queries));
  for (int c = lane_id(); c < source.d; c += kWarpSize) {
    float sum = 0.0f;
    for (int part = 0; part < split.parts; ++part)
      sum += split.o[(part * rows + row) * source.d + c] * fast_exp2(split.stats[part * rows + row].x - top);
    to[c] = store_as<T>(sum / total);
  }
  if (source.lse && lane_id() == 0) source.lse[row] = top * kLn2 + logf(total);
}

template <class T>
void run(const Attention& a) {
  const Lists<T> source(a);
  const i64 rows = source.units * a.nq, blocks = source.units * ceil_div(a.nq, 64);
  if (rows == 0) return;
  // Enough parts to fill the device, each of some tiles.
  const i64 wanted = std::min<i64>(ceil_div(2 * multiprocessors(), blocks), kMostParts);
  const i64 each = ceil_div(ceil_div(a.nk, kKeysOfPart), std::max<i64>(wanted, 1)) * kKeysOfPart;
  KeyParts split{static_cast<int>(ceil_div(a.nk, each)), static_cast<int>(each), nullptr, nullptr};
  if (split.parts > 1) {
    split.o = workspace<float>(0, split.parts * rows * a.d);
    split.stats = workspace<float2>(1, split.parts * rows);
  }
  with_head_size<16, 32, 64, 80, kMostHead>(a.d, [&](auto size) { attend_with<size()>(source, split); });
  if (split.parts > 1) {
    constexpr int kRowsOfBlock = 4;
    launch(combine<T>, dim3(static_cast<unsigned>(ceil_div(rows, kRowsOfBlock))),
           dim3(kRowsOfBlock * kWarpSize), 0, source, split);
  }
}

}  // namespace

void attention(const Attention& a) {
  if (a.dtype == DType::bf16)
    run<bf16>(a);
  else
    run<float>(a);
}

}  // namespace bp::cuda
