// Windows of a grid addressed by index, shared by window attention and its backward. Included inside the
// level's namespace, after simd.h.

template <class T>
struct Windows {
  const k::WindowAttention& p;
  i64 down, across;          // windows per image
  i64 channels, tokens;      // of the grid; of a window
  i64 head_step, part_step;  // strides of qkv's last axis

  explicit Windows(const k::WindowAttention& args) : p(args) {
    down = (p.h + p.win_h - 1) / p.win_h;
    across = (p.w + p.win_w - 1) / p.win_w;
    channels = p.heads * p.d;
    tokens = p.win_h * p.win_w;
    head_step = p.per_head ? 3 * p.d : p.d;
    part_step = p.per_head ? p.d : channels;
  }
  // Token t of window (wy, wx): its index in the batch's grid, or -1 where the window sticks out.
  i64 index(i64 image, i64 wy, i64 wx, i64 t) const {
    const i64 y = wy * p.win_h + t / p.win_w, x = wx * p.win_w + t % p.win_w;
    return y < p.h && x < p.w ? (image * p.h + y) * p.w + x : -1;
  }
  // Where a token is: its row of qkv, or pad, and its row of y, or null where the window sticks out.
  struct Place {
    const T* in;
    T* out;
  };
  // Of all tokens of a window.
  void places(i64 image, i64 wy, i64 wx, Place* to) const {
    each_token(image, wy, wx, [&](i64 t, i64 token) {
      to[t] = {row(token, 0, 0), token < 0 ? nullptr : static_cast<T*>(p.y) + token * channels};
    });
  }
  // body(t, index(image, wy, wx, t)) for all tokens t of a window.
  template <class Body>
  void each_token(i64 image, i64 wy, i64 wx, const Body& body) const {
    i64 t = 0;
    for (i64 y = wy * p.win_h; y < (wy + 1) * p.win_h; ++y)
      for (i64 x = wx * p.win_w; x < (wx + 1) * p.win_w; ++x)
        body(t++, y < p.h && x < p.w ? (image * p.h + y) * p.w + x : -1);
  }
  // part 0, 1, 2: q, k, v.
  const T* row(i64 token, i64 head, int part) const {
    const T* base =
        token < 0 ? static_cast<const T*>(p.pad) : static_cast<const T*>(p.qkv) + token * 3 * channels;
    return base + head * head_step + part * part_step;
  }
};
