// The weight's gradient is a sum over all pixels. It is taken in chunks of rows of the input that do not
// depend on the number of threads, and the chunks' sums are added in order.
#pragma once
#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/threads.h"

namespace bp::cpu::ladder {
namespace {

constexpr i64 kChunkRows = 16;

template <class T>
void add_chunks(const float* partial, i64 chunks, i64 count, T* dweight) {
  for (i64 i = 0; i < count; ++i) {
    float total = 0;
    for (i64 chunk = 0; chunk < chunks; ++chunk) total += partial[chunk * count + i];
    dweight[i] = from_f32<T>(total);
  }
}

// Calls rows(begin, end, sums) for every chunk of the n * h rows of the input, on all threads or on one; sums
// [9][c] are zeros to add to. Their total goes to dweight, if that is wanted. Takes scratch slot 0.
template <class Rows>
void in_chunks(const k::DepthwiseBackward& p, bool threads, const Rows& rows) {
  const i64 all = p.n * p.h, chunks = (all + kChunkRows - 1) / kChunkRows, count = 9 * p.c;
  float* const partial = scratch<float>(0, chunks * count);
  const auto body = [&](i64 begin, i64 end) {
    for (i64 chunk = begin; chunk < end; ++chunk) {
      float* const sums = partial + chunk * count;
      std::fill(sums, sums + count, 0.0f);
      rows(chunk * kChunkRows, std::min(all, (chunk + 1) * kChunkRows), sums);
    }
  };
  if (threads)
    parallel_for(chunks, 1, body);
  else
    body(0, chunks);
  if (!p.dweight) return;
  p.dtype == DType::bf16 ? add_chunks(partial, chunks, count, static_cast<bf16*>(p.dweight))
                         : add_chunks(partial, chunks, count, static_cast<float*>(p.dweight));
}

}  // namespace
}  // namespace bp::cpu::ladder
