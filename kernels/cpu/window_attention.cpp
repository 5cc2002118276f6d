// Self-attention in windows addressed by index (see k::WindowAttention). Units are (image, window, head).
// Small windows are whole tasks; a large one (SAM's global attention) is packed once by all threads, which
// then share its queries. Scratch slots: 0 (tokens and panels of a shared unit), 1 and 2 (positions), 4
// (tokens and panels of a unit), 5 (buffers of attend, positions of its queries).
#include <algorithm>
#include <cmath>
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
#include "kernels/cpu/attend.h"
#include "kernels/cpu/windows.h"
#include "kernels/cpu/window_positions.h"
#include "kernels/cpu/table.h"

namespace {

constexpr i64 kSharedTokens = 1024;  // from here on one window is work for all threads

template <class Tile, class T>
struct WindowUnits {
  using Buffers = AttendBuffers<Tile>;
  using Place = typename Windows<T>::Place;
  const k::WindowAttention& p;
  const Windows<T> windows{p};
  const i64 per_image = windows.down * windows.across, count = p.batch * per_image * p.heads;
  const i64 panels_size = Unit<Tile>::size(windows.tokens, p.d);
  const Positions<Tile> positions{p, static_cast<const T*>(nullptr)};

  // Panels, and after them the places of `count` windows.
  struct Memory {
    Word* panels;
    Place* places;
  };
  Memory memory(int slot, i64 windows_count) const {
    const i64 places_size = windows_count * windows.tokens * static_cast<i64>(sizeof(Place) / sizeof(Word));
    Word* const panels = scratch<Word>(slot, panels_size + places_size);
    return {panels, reinterpret_cast<Place*>(panels + panels_size)};
  }
  // Where the tokens of unit u's window are: see Windows::places().
  void find_places(i64 u, Place* to) const {
    const i64 window = u / p.heads % per_image, image = u / p.heads / per_image;
    windows.places(image, window / windows.across, window % windows.across, to);
  }
  void pack(const Unit<Tile>& unit, const Place* place, i64 head, i64 begin, i64 end) const {
    const i64 first = head * windows.head_step, step = windows.part_step;
    unit.pack(
        begin, end, [=](i64 t) { return place[t].in + first + step; },
        [=](i64 t) { return place[t].in + first + 2 * step; });
  }
  // meanwhile(t, n) is called once for every n queries from t on, before they are worked on.
  template <class Meanwhile>
  void queries(const Unit<Tile>& unit, const Place* place, i64 u, i64 begin, i64 end,
               const Meanwhile& meanwhile) const {
    const i64 head = u % p.heads, size = Buffers::size(p.d), added_size = Tile::kRows * kAStride + kLanes;
    float* const memory = scratch<float>(5, size + added_size + Positions<Tile>::terms_size(p));
    const Buffers buffers(memory, p.d);
    float *const added = memory + size, *const terms = added + added_size;
    buffers.pack_queries(begin, end, p.d, [&](i64 t) { return place[t].in + head * windows.head_step; });
    positions.multiply(static_cast<int>(end - begin), buffers.q, terms);
    attend(
        unit, begin, end, p.scale, buffers,
        [&](int strip, int rows, i64 key0, i64 n) {
          if (key0 == 0) meanwhile(begin + strip, rows);
          return positions.of(head, begin, strip, rows, key0, n, terms, added);
        },
        [&](i64 t, const float* o, float factor, float lse) {
          if (place[t].out) store_row(place[t].out + head * p.d, o, factor, p.d);
          if (p.lse) p.lse[u * windows.tokens + t] = lse;
        });
  }

  void run_shared() const {
    const auto [panels, place] = memory(0, 1);
    const Unit<Tile> unit(windows.tokens, p.d, panels);
    for (i64 u = 0; u < count; ++u) {
      find_places(u, place);
      parallel_for(windows.tokens, 4 * kNR,
                   [&, to = place](i64 begin, i64 end) { pack(unit, to, u % p.heads, begin, end); });
      parallel_for(windows.tokens, Buffers::kQueries, [&, to = place](i64 begin, i64 end) {
        Tile::begin();
        queries(unit, to, u, begin, end, [](i64, int) {});
        Tile::end();
      });
    }
  }
  // Rows of a window lie apart in memory, a few cache lines each: too short for the processor to foresee
  // them.
  void prefetch(const Place* place, i64 head, i64 begin, i64 n) const {
    for (i64 t = begin; t < begin + n; ++t)
      for (int part = 0; part < 3; ++part)
        fetch(place[t].in + head * windows.head_step + part * windows.part_step, p.d);
  }
  void run() const {
    if (windows.tokens >= kSharedTokens) return run_shared();
    const i64 n = windows.tokens, grain = std::max<i64>(1, count / (16 * threads()));
    parallel_for(count, grain, [&](i64 first, i64 last) {
      auto [panels, place] = memory(4, 2);
      Place* next = place + n;
      const Unit<Tile> unit(n, p.d, panels);
      find_places(first, next);
      Tile::begin();
      for (i64 u = first; u < last; ++u) {
        // The window of u, and that of u + 1: the same but for the last head.
        if (u == first || u % p.heads == 0) std::swap(place, next);
        const Place* const following = (u + 1) % p.heads == 0 ? next : place;
        if (following == next && u + 1 < last) find_places(u + 1, next);
        const auto meanwhile = [&](i64 t, int rows) {
          if (u + 1 < last) prefetch(following, (u + 1) % p.heads, t, rows);
        };
        pack(unit, place, u % p.heads, 0, n);
        for (i64 t = 0; t < n; t += Buffers::kQueries)
          queries(unit, place, u, t, std::min(n, t + Buffers::kQueries), meanwhile);
      }
      Tile::end();
    });
  }
};

template <class T>
void run(const k::WindowAttention& p) {
  with_tile<T>([&](auto tile) { WindowUnits<decltype(tile), T>{p}.run(); });
}

}  // namespace

void window_attention(const k::WindowAttention& p) {
  if (p.dtype == DType::bf16)
    run<bf16>(p);
  else
    run<float>(p);
}
#include "kernels/cpu/isa_end.h"
