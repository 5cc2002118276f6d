// What attention is about: units, each one head of one pair of lists or of one window, and where the rows of
// a unit are. Units are counted as the rows of `lse` are. A token t of a unit is a row of d elements.
#pragma once
#include "kernels/cuda/warp_tiles.h"

#include <stdexcept>
#include <string>

namespace bp::cuda {

constexpr int kMostHead = 128;  // largest d

// How a logit depends on where query and key are, beside q.k.
enum class Position { none, table, relative };

struct UnitSizes {
  i64 units, heads;
  int queries, keys, d;
  float scale;  // positive
  bool packed;  // rows can be read in packs of 16 bytes
  bool pairs;   // and outputs be written two at a time
  float* lse;   // [units, queries] or null
};

inline void require_attention(i64 d, float scale) {
  if (d > kMostHead)
    throw std::runtime_error("attention: heads of " + std::to_string(d) + " numbers, at most " +
                             std::to_string(kMostHead));
  if (!(scale > 0)) throw std::runtime_error("attention: the scale is not positive");
}

template <class T>
bool can_pair(i64 d, const void* address) {
  return d % 2 == 0 && reinterpret_cast<std::uintptr_t>(address) % (2 * sizeof(T)) == 0;
}

// Queries, keys and values as they stand in k::Attention; a unit is (batch, head).
template <class T>
struct Lists : UnitSizes {
  using Element = T;
  static constexpr Position kPosition = Position::none;
  const T *q, *k, *v;
  T* o;
  i64 q_row, k_row, v_row, q_batch, k_batch, v_batch;

  explicit Lists(const Attention& a)
      : UnitSizes{a.batch * a.heads,
                  a.heads,
                  static_cast<int>(a.nq),
                  static_cast<int>(a.nk),
                  static_cast<int>(a.d),
                  a.scale,
                  packs<T>(a.d | a.q_row | a.k_row | a.v_row | a.q_batch | a.k_batch | a.v_batch,
                           static_cast<const T*>(a.q), static_cast<const T*>(a.k),
                           static_cast<const T*>(a.v)),
                  can_pair<T>(a.d, a.o),
                  a.lse},
        q(static_cast<const T*>(a.q)),
        k(static_cast<const T*>(a.k)),
        v(static_cast<const T*>(a.v)),
        o(static_cast<T*>(a.o)),
        q_row(a.q_row),
        k_row(a.k_row),
        v_row(a.v_row),
        q_batch(a.q_batch),
        k_batch(a.k_batch),
        v_batch(a.v_batch) {
    require_attention(a.d, a.scale);
  }

  struct Unit {
    const Lists& all;
    const T *q, *k, *v;
    i64 first_out, first_key_out;

    __device__ __forceinline__ RowsOf<T, 1> query(int t) const { return {{q + t * all.q_row}}; }
    __device__ __forceinline__ RowsOf<T, 2> key_value(int t) const {
      return {{k + t * all.k_row, v + t * all.v_row}};
    }
    // Where the row of query t begins in [batch,nq,heads*d].
    __device__ __forceinline__ i64 out(int t) const { return first_out + t * all.heads * all.d; }
    // Where a row of dq (part 0), dk or dv begins.
    __device__ __forceinline__ i64 gradient(int part, int t) const {
      return (part == 0 ? first_out : first_key_out) + t * all.heads * all.d;
    }
  };
  __device__ __forceinline__ Unit unit(i64 u) const {
    const i64 b = u / heads, at = u % heads * d, row = heads * d;
    return {*this,
            q + b * q_batch + at,
            k + b * k_batch + at,
            v + b * v_batch + at,
            b * queries * row + at,
            b * keys * row + at};
  }
  __device__ __forceinline__ int place(int) const { return 0; }
};

// The windows of k::WindowAttention; a unit is (image, window, head). Where a token sticks out, it is read
// from `pad` and has nowhere to be written: its offset is -1.
template <class T, Position kind>
struct Windows : UnitSizes {
  using Element = T;
  static constexpr Position kPosition = kind;
  const T *qkv, *pad, *rel_h, *rel_w, *bias;
  T* o;
  int h, w, win_h, win_w, down, across;
  i64 channels, head_step, part_step;

  explicit Windows(const WindowAttention& a)
      : UnitSizes{a.batch * ceil_div(a.h, a.win_h) * ceil_div(a.w, a.win_w) * a.heads,
                  a.heads,
                  static_cast<int>(a.win_h * a.win_w),
                  static_cast<int>(a.win_h * a.win_w),
                  static_cast<int>(a.d),
                  a.scale,
                  packs<T>(a.d, static_cast<const T*>(a.qkv), static_cast<const T*>(a.pad),
                           static_cast<const T*>(a.rel_h), static_cast<const T*>(a.rel_w)),
                  can_pair<T>(a.d, a.y),
                  a.lse},
        qkv(static_cast<const T*>(a.qkv)),
        pad(static_cast<const T*>(a.pad)),
        rel_h(static_cast<const T*>(a.rel_h)),
        rel_w(static_cast<const T*>(a.rel_w)),
        bias(static_cast<const T*>(a.bias)),
        o(static_cast<T*>(a.y)),
        h(static_cast<int>(a.h)),
        w(static_cast<int>(a.w)),
        win_h(static_cast<int>(a.win_h)),
        win_w(static_cast<int>(a.win_w)),
        down(static_cast<int>(ceil_div(a.h, a.win_h))),
        across(static_cast<int>(ceil_div(a.w, a.win_w))),
        channels(a.heads * a.d),
        head_step(a.per_head ? 3 * a.d : a.d),
        part_step(a.per_head ? a.d : a.heads * a.d) {
    require_attention(a.d, a.scale);
  }

  struct Unit {
    const Windows& all;
    const T *qkv, *pad;  // of the image, of the head
    i64 image, head;
    int y0, x0;

    // The index of token t in its image, or -1 where it sticks out.
    __device__ __forceinline__ int token(int t) const {
      if (all.win_w == all.w) {  // spares SAM's global attention the division
        const int at = y0 * all.w + t;
        return at < all.h * all.w ? at : -1;
      }
      const unsigned side = static_cast<unsigned>(all.win_w), ty = static_cast<unsigned>(t) / side;
      const int y = y0 + static_cast<int>(ty), x = x0 + t - static_cast<int>(ty * side);
      return y < all.h && x < all.w ? y * all.w + x : -1;
    }
    __device__ __forceinline__ const T* row(int token) const {
      return token < 0 ? pad : qkv + token * 3 * all.channels;
    }
    __device__ __forceinline__ RowsOf<T, 1> query(int t) const { return {{row(token(t))}}; }
    __device__ __forceinline__ RowsOf<T, 2> key_value(int t) const {
      const T* const from = row(token(t)) + all.part_step;
      return {{from, from + all.part_step}};
    }
    __device__ __forceinline__ i64 out(int t) const {
      const int at = token(t);
      return at < 0 ? -1 : (image * all.h * all.w + at) * all.channels + head * all.d;
    }
    __device__ __forceinline__ i64 gradient(int part, int t) const {
      const int at = token(t);
      return at < 0 ? -1
                    : (image * all.h * all.w + at) * 3 * all.channels + head * all.head_step +
                          part * all.part_step;
    }
  };
  __device__ __forceinline__ Unit unit(i64 u) const {
    const i64 head = u % heads, all_windows = static_cast<i64>(down) * across,
              image = u / heads / all_windows;
    const int window = static_cast<int>(u / heads % all_windows);
    return {*this,
            qkv + image * h * w * 3 * channels + head * head_step,
            pad + head * head_step,
            image,
            head,
            window / across * win_h,
            window % across * win_w};
  }
  // Row and column of token t in one number: the difference of two tokens' is the index into a table
  // [2 win_h - 1, 2 win_w - 1], less that table's middle; or apart in the two halves.
  __device__ __forceinline__ int place(int t) const {
    const int ty = t / win_w, tx = t - ty * win_w;
    return kind == Position::table ? ty * (2 * win_w - 1) + tx : ty | tx << 16;
  }
};

}  // namespace bp::cuda
