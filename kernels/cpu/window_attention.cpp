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
#include "kernels/cpu/attend_weights.h"
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
  // meanwhile(t, rows, part, parts): see attend(), for queries from t on.
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
        unit, begin, end, p.scale, p.lse != nullptr, buffers,
        [&](int strip, int rows, i64 key0, i64 n, const auto& f) {
          positions.with(head, begin, strip, rows, key0, n, terms, added, f);
        },
        [&](i64 t, const float* o, float factor, float lse) {
          if (place[t].out) store_row(place[t].out + head * p.d, o, factor, p.d);
          if (p.lse) p.lse[u * windows.tokens + t] = lse;
        },
        [&](int strip, int rows, int part, int parts) { meanwhile(begin + strip, rows, part, parts); });
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
        queries(unit, to, u, begin, end, [](i64, int, int, int) {});
        Tile::end();
      });
    }
  }
  // In how many parts the queries of units are cut so that threads wait least for one another. Each part
  // packs its unit's keys and values, which takes as long as kPacking queries.
  i64 parts_of_unit() const {
    constexpr i64 kPacking = 8;
    const auto time = [this](i64 parts) {
      return blocks_of(count * parts, threads()) * (part_size(parts) + kPacking);
    };
    i64 best = 1;
    for (i64 parts = 2; parts <= windows.tokens / Tile::kRows; ++parts)
      if (time(parts) < time(best)) best = parts;
    return best;
  }
  i64 part_size(i64 parts) const { return round_up(blocks_of(windows.tokens, parts), Tile::kRows); }

  void run() const {
    if (windows.tokens >= kSharedTokens) return run_shared();
    const i64 n = windows.tokens, size = part_size(parts_of_unit()), parts = blocks_of(n, size);
    const i64 grain = parts > 1 ? 1 : std::max<i64>(1, count / (16 * threads()));
    parallel_for(count * parts, grain, [&](i64 first, i64 last) {
      auto [panels, place] = memory(4, 2);
      Place* next = place + n;
      const Unit<Tile> unit(n, p.d, panels);
      find_places(first / parts, next);
      Tile::begin();
      for (i64 task = first; task < last; ++task) {
        const i64 u = task / parts, head = u % p.heads, next_head = (u + 1) % p.heads;
        // The window of u, and that of u + 1: the same but for the last head.
        if (task == first || head == 0) std::swap(place, next);
        const Place* following = nullptr;
        if (task + 1 < last) following = next_head == 0 ? next : place;
        if (following == next) find_places(u + 1, next);
        // Rows of a window lie apart in memory, a few cache lines each: too short for the processor to
        // foresee them.
        const auto meanwhile = [&](i64 t, int rows, int step, int steps) {
          for (i64 i = t + rows * step / steps; i < t + rows * (step + 1) / steps; ++i) {
            if (place[i].out) fetch_to_write(place[i].out + head * p.d, p.d);
            if (!following) continue;
            const T* const in = following[i].in + next_head * windows.head_step;
            fetch(in, p.d), fetch(in + windows.part_step, p.d), fetch(in + 2 * windows.part_step, p.d);
          }
        };
        pack(unit, place, head, 0, n);
        const i64 begin = task % parts * size, end = std::min(n, begin + size);
        for (i64 t = begin; t < end; t += Buffers::kQueries)
          queries(unit, place, u, t, std::min(end, t + Buffers::kQueries), meanwhile);
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
