// Gradients of attention over one unit, by the plain formulas on matrices of queries x keys: training happens
// on windows and short lists, where these are small. Included inside the level's namespace, after table.h.
//
// With logits L = scale Q K^T + bias, P = exp(L - lse) and dP = dO V^T:
//   dV = P^T dO,  dL = P (dP - rowsum(dO O)),  dQ = scale dL K,  dK = scale dL^T Q,  dbias = dL.
// rowsum(dO O) equals rowsum(P dP), so the forward's output is not needed.

// All f32 and contiguous: q, dout [nq,d], k, v [nk,d]; bias [nq,nk] or null; p and dl [nq,nk] are overwritten
// with P and dL.
struct UnitBackward {
  i64 nq, nk, d;
  float scale;
  const float *q, *k, *v, *dout, *lse, *bias;
  float *dq, *dk, *dv;
  float *p, *dl;
};

BP_INLINE void product(const float* a, bool ta, const float* b, bool tb, float* c, i64 m, i64 n, i64 k,
                       float alpha) {
  matmul({.a = a,
          .b = b,
          .c = c,
          .m = m,
          .n = n,
          .k = k,
          .ta = ta,
          .tb = tb,
          .lda = ta ? m : k,
          .ldb = tb ? k : n,
          .ldc = n,
          .batch = 1,
          .a_batch = 0,
          .b_batch = 0,
          .c_batch = 0,
          .alpha = alpha,
          .bias = nullptr,
          .residual = nullptr,
          .act = k::Act::none,
          .accumulate = false,
          .dtype = DType::f32});
}

// p from logits to P, dl from dP to dL.
static void logit_gradients(const UnitBackward& u) {
  for (i64 i = 0; i < u.nq; ++i) {
    float* p = u.p + i * u.nk;
    float* dl = u.dl + i * u.nk;
    const float lse = u.lse[i];
    const vf lse_v = splat(lse);
    vf sum{};
    for (i64 j = 0; j < u.nk; j += kLanes) {
      const i64 left = u.nk - j;
      const bool whole = left >= kLanes;
      vf l = whole ? load(p + j) : load_part(p + j, left);
      if (u.bias) l += whole ? load(u.bias + i * u.nk + j) : load_part(u.bias + i * u.nk + j, left);
      const vf e = exp(l - lse_v);
      sum += e * (whole ? load(dl + j) : load_part(dl + j, left));
      if (whole)
        store(p + j, e);
      else
        store_part(p + j, e, left);
    }
    const vf delta = splat(sum_lanes(sum));
    for (i64 j = 0; j < u.nk; j += kLanes) {
      const i64 left = u.nk - j;
      if (left >= kLanes)
        store(dl + j, load(p + j) * (load(dl + j) - delta));
      else
        store_part(dl + j, load_part(p + j, left) * (load_part(dl + j, left) - delta), left);
    }
  }
}

// Calls meanwhile(stage) for stages 0 to kBackwardStages - 1 as the work goes on.
constexpr int kBackwardStages = 5;
template <class Meanwhile>
static void attend_backward(const UnitBackward& u, const Meanwhile& meanwhile) {
  meanwhile(0);
  product(u.q, false, u.k, true, u.p, u.nq, u.nk, u.d, u.scale);
  meanwhile(1);
  product(u.dout, false, u.v, true, u.dl, u.nq, u.nk, u.d, 1.0f);
  logit_gradients(u);
  meanwhile(2);
  product(u.p, true, u.dout, false, u.dv, u.nk, u.d, u.nq, 1.0f);
  meanwhile(3);
  product(u.dl, false, u.k, false, u.dq, u.nq, u.d, u.nk, u.scale);
  meanwhile(4);
  product(u.dl, true, u.q, false, u.dk, u.nk, u.d, u.nq, u.scale);
}

// Buffers of one unit, cut from one block of memory: seven [tokens,d] matrices, then P, dL, bias.
struct BackwardBuffers {
  float *q, *k, *v, *dout, *dq, *dk, *dv, *p, *dl, *bias;
  static i64 size(i64 nq, i64 nk, i64 d) { return (3 * nq + 4 * nk) * d + 3 * nq * nk; }
  BackwardBuffers(float* at, i64 nq, i64 nk, i64 d) {
    const auto take = [&](i64 n) {
      float* begin = at;
      at += n;
      return begin;
    };
    q = take(nq * d), dout = take(nq * d), dq = take(nq * d);
    k = take(nk * d), v = take(nk * d), dk = take(nk * d), dv = take(nk * d);
    p = take(nq * nk), dl = take(nq * nk), bias = take(nq * nk);
  }
};

template <class T>
BP_INLINE void load_row(float* to, const T* from, i64 n) {
  for (i64 i = 0; i < n; ++i) to[i] = to_f32(from[i]);
}

template <class T>
BP_INLINE void store_row(T* to, const float* from, i64 n) {
  i64 i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
  for (; i < n; ++i) to[i] = from_f32<T>(from[i]);
}
