// 6. Results go to memory past the caches.
//
// An ordinary store first reads the cache line that it will overwrite, so y moves twice: 12 bytes a number of
// f32 instead of 8. A streaming store fills whole lines in a buffer and sends them off: expected 1.5 times
// where memory is the limit. It wants whole aligned vectors, so a row's first and last numbers are stored
// plainly. The price: y is in no cache for the kernel after this one. Where y would have stayed in the caches
// (13 MB in a last-level cache of 32) that costs more than it gains, which is why the engine does not do it.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/threads.h"

#include "kernels/ladders/cpu/layer_norm/rungs.h"

#define BP_ISA ladder_avx512
#define BP_ISA_LEVEL 512
#include "kernels/cpu/isa_begin.h"
#include "kernels/cpu/simd.h"
#include "kernels/ladders/cpu/layer_norm/rows.h"

static void stream(float* y, vf v) {
  _mm512_stream_ps(y, v);
}
static void stream(bf16* y, vf v) {
  alignas(32) bf16 rounded[kLanes];
  store(rounded, v);
  _mm256_stream_si256(reinterpret_cast<__m256i*>(y),
                      _mm256_load_si256(reinterpret_cast<const __m256i*>(rounded)));
}

// A row's numbers up to the first whole aligned vector, the whole vectors, the rest.
template <class T>
struct AlignedVectors {
  template <class Body>
  BP_INLINE void operator()(T* y, i64 cols, const Body& body) const {
    constexpr i64 vector_bytes = kLanes * sizeof(T);
    const i64 over = static_cast<i64>(reinterpret_cast<std::uintptr_t>(y) % vector_bytes);
    const i64 before = over == 0 ? 0 : (vector_bytes - over) / static_cast<i64>(sizeof(T));
    i64 i = before < cols ? before : cols;
    if (i > 0) body(0, i);
    for (; i + kLanes <= cols; i += kLanes) body(i, kLanes);
    if (i < cols) body(i, cols - i);
  }
};

template <class T>
static void stream_rows(const k::LayerNorm& p, i64 begin, i64 end) {
  for (i64 r = begin; r < end; ++r)
    normalise_row<T>(p, r, AlignedVectors<T>{}, [](T* y, vf v, i64 n) {
      if (n == kLanes)
        stream(y, v);
      else
        store_part(y, v, n);
    });
  _mm_sfence();  // streaming stores wait for nobody: before the task counts as done they have to be there
}

static void run(const k::LayerNorm& p) {
  parallel_for(p.rows, ladder::layer_norm_grain(p.cols), [&](i64 begin, i64 end) {
    p.dtype == DType::bf16 ? stream_rows<bf16>(p, begin, end) : stream_rows<float>(p, begin, end);
  });
}
#include "kernels/cpu/isa_end.h"

namespace bp::cpu::ladder {
void layer_norm_streaming(const k::LayerNorm& p) {
  ladder_avx512::run(p);
}
}  // namespace bp::cpu::ladder
#endif
