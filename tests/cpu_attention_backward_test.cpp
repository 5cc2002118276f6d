// The gradients of the CPU's attention: lists and windows, both types, and AMX on its stand-in. Beside sums
// in f64.
#include "tests/cpu_attention_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

// Softmax attention of one unit and its gradients, every matrix that a program would write passed through
// `round`. Inputs [tokens,d], added [nq,nk] or empty.
using Matrix = std::vector<double>;
struct UnitCase {
  i64 nq, nk, d;
  double scale;
  Matrix q, k, v, dout, added;
};
struct UnitGradients {
  Matrix dq, dk, dv, dl;
};

// C [m,n] = op(A) op(B), depth k.
Matrix multiplied(const Matrix& a, bool ta, const Matrix& b, bool tb, i64 m, i64 n, i64 k) {
  Matrix c(static_cast<std::size_t>(m * n));
  for (i64 i = 0; i < m; ++i)
    for (i64 j = 0; j < n; ++j)
      for (i64 t = 0; t < k; ++t)
        c[static_cast<std::size_t>(i * n + j)] += a[static_cast<std::size_t>(ta ? t * m + i : i * k + t)] *
                                                  b[static_cast<std::size_t>(tb ? j * k + t : t * n + j)];
  return c;
}

template <class Round>
UnitGradients gradients(const UnitCase& u, const Round& round) {
  const auto rounded = [&](Matrix m, double factor = 1) {
    for (double& x : m) x = round(factor * x);
    return m;
  };
  Matrix p = rounded(multiplied(u.q, false, u.k, true, u.nq, u.nk, u.d), u.scale);
  Matrix dl = rounded(multiplied(u.dout, false, u.v, true, u.nq, u.nk, u.d));
  for (i64 i = 0; i < u.nq; ++i) {
    double* const row = p.data() + i * u.nk;
    double* const drow = dl.data() + i * u.nk;
    double sum = 0, delta = 0;
    for (i64 t = 0; t < u.nk; ++t)
      sum += row[t] =
          std::exp(row[t] + (u.added.empty() ? 0 : u.added[static_cast<std::size_t>(i * u.nk + t)]));
    for (i64 t = 0; t < u.nk; ++t) delta += (row[t] = round(row[t] / sum)) * drow[t];
    for (i64 t = 0; t < u.nk; ++t) drow[t] = round(row[t] * (drow[t] - delta));
  }
  return {rounded(multiplied(dl, false, u.k, false, u.nq, u.d, u.nk), u.scale),
          rounded(multiplied(dl, true, u.q, false, u.nk, u.d, u.nq), u.scale),
          rounded(multiplied(p, true, u.dout, false, u.nk, u.d, u.nq)), dl};
}
double exactly(double x) {
  return x;
}
double as_bf16(double x) {
  return to_f32(to_bf16(static_cast<float>(x)));
}

// The largest difference, in units of the largest value wanted. None where it is below f32's rounding of the
// inputs, which are near 1: a single key has a gradient of 0.
template <class T>
double apart(const Matrix& wanted, const std::vector<T>& got) {
  double largest = 1e-30, error = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    largest = std::max(largest, std::abs(wanted[i]));
    if constexpr (std::is_same_v<T, double>)
      error = worse(error, wanted[i], got[i]);
    else
      error = worse(error, wanted[i], to_f32(got[i]));
  }
  return error < 1e-6 ? 0 : error / largest;
}
// f32 is held to its rounding, bf16 to twice the error of a plain program's.
template <class T>
void check_gradient(const char* name, const Matrix& wanted, const Matrix& plain, const std::vector<T>& got) {
  CAPTURE(name);
  CHECK(apart(wanted, got) <= (std::is_same_v<T, float> ? 1e-5 : 2 * apart(wanted, plain)));
}

// One unit in rows of its own, since the forward's test sees to the others.
template <class T>
void check_list_gradients(i64 nq, i64 nk, i64 d) {
  CAPTURE(nq);
  CAPTURE(nk);
  CAPTURE(d);
  const auto q = random<T>(nq * d, 1), k = random<T>(nk * d, 2), v = random<T>(nk * d, 3),
             dout = random<T>(nq * d, 4);
  std::vector<T> o(q.size()), dq(q.size()), dk(k.size()), dv(k.size());
  std::vector<float> lse(static_cast<std::size_t>(nq));
  const float scale = 0.4f;
  const bp::k::Attention forward{.q = q.data(),
                                 .k = k.data(),
                                 .v = v.data(),
                                 .o = o.data(),
                                 .lse = lse.data(),
                                 .batch = 1,
                                 .heads = 1,
                                 .nq = nq,
                                 .nk = nk,
                                 .d = d,
                                 .q_row = d,
                                 .k_row = d,
                                 .v_row = d,
                                 .q_batch = nq * d,
                                 .k_batch = nk * d,
                                 .v_batch = nk * d,
                                 .scale = scale,
                                 .dtype = kType<T>};
  cpu::kernels().attention(forward);
  cpu::kernels().attention_backward({forward, dout.data(), dq.data(), dk.data(), dv.data()});
  const auto numbers = [](const std::vector<T>& x) {
    Matrix m;
    for (const T& e : x) m.push_back(to_f32(e));
    return m;
  };
  const UnitCase u{nq, nk, d, scale, numbers(q), numbers(k), numbers(v), numbers(dout), {}};
  const UnitGradients wanted = gradients(u, exactly), plain = gradients(u, as_bf16);
  check_gradient("dq", wanted.dq, plain.dq, dq);
  check_gradient("dk", wanted.dk, plain.dk, dk);
  check_gradient("dv", wanted.dv, plain.dv, dv);
}

// Around the limits of blocks of keys and queries, of strips and panels, and of pairs.
template <class T>
void check_all_list_gradients() {
  check_list_gradients<T>(1, 1, 16);
  check_list_gradients<T>(5, 7, 32);
  check_list_gradients<T>(49, 49, 32);
  check_list_gradients<T>(33, 257, 40);
  check_list_gradients<T>(259, 31, 7);
  check_list_gradients<T>(300, 530, 24);
  check_list_gradients<T>(40, 65, 256);
}

struct GridGradients {
  Matrix dqkv, dpad, dbias;
};
template <class T, class Round>
GridGradients grid_gradients(const Grid& g, float scale, const std::vector<T>& qkv, const std::vector<T>& pad,
                             const std::vector<T>& bias, const std::vector<T>& dout, const Round& round) {
  const i64 channels = g.heads * g.d, n = g.win_h * g.win_w;
  const i64 down = (g.h + g.win_h - 1) / g.win_h, across = (g.w + g.win_w - 1) / g.win_w;
  GridGradients all{Matrix(qkv.size()), Matrix(pad.size()), Matrix(bias.size())};
  const auto offset = [&](i64 head, i64 part) {
    return g.per_head ? (head * 3 + part) * g.d : (part * g.heads + head) * g.d;
  };
  for (i64 window = 0; window < down * across; ++window)
    for (i64 head = 0; head < g.heads; ++head) {
      UnitCase u{n, n, g.d, scale, {}, {}, {}, {}, {}};
      const auto token = [&](i64 t) {
        const i64 y = window / across * g.win_h + t / g.win_w, x = window % across * g.win_w + t % g.win_w;
        return y < g.h && x < g.w ? y * g.w + x : -1;
      };
      const auto index = [&](i64 i, i64 j) {
        return static_cast<std::size_t>(head * n + std::abs(i / g.win_w - j / g.win_w) * g.win_w +
                                        std::abs(i % g.win_w - j % g.win_w));
      };
      for (i64 t = 0; t < n; ++t) {
        const i64 at = token(t);
        for (i64 c = 0; c < g.d; ++c) {
          Matrix* const parts[3] = {&u.q, &u.k, &u.v};
          for (i64 part = 0; part < 3; ++part)
            parts[part]->push_back(
                to_f32(at < 0 ? pad[static_cast<std::size_t>(offset(head, part) + c)]
                              : qkv[static_cast<std::size_t>(at * 3 * channels + offset(head, part) + c)]));
          u.dout.push_back(at < 0 ? 0
                                  : to_f32(dout[static_cast<std::size_t>(at * channels + head * g.d + c)]));
        }
        for (i64 j = 0; j < n; ++j) u.added.push_back(to_f32(bias[index(t, j)]));
      }
      const UnitGradients found = gradients(u, round);
      const Matrix* const parts[3] = {&found.dq, &found.dk, &found.dv};
      for (i64 t = 0; t < n; ++t) {
        const i64 at = token(t);
        for (i64 part = 0; part < 3; ++part)
          for (i64 c = 0; c < g.d; ++c)
            (at < 0 ? all.dpad : all.dqkv)[static_cast<std::size_t>(std::max<i64>(at, 0) * 3 * channels +
                                                                    offset(head, part) + c)] +=
                (*parts[part])[static_cast<std::size_t>(t * g.d + c)];
        for (i64 j = 0; j < n; ++j) all.dbias[index(t, j)] += found.dl[static_cast<std::size_t>(t * n + j)];
      }
    }
  for (Matrix* m : {&all.dpad, &all.dbias})
    for (double& x : *m) x = round(x);
  return all;
}

template <class T>
void check_grid_gradients(const Grid& g) {
  CAPTURE(g.win_h);
  CAPTURE(g.win_w);
  const i64 channels = g.heads * g.d, n = g.win_h * g.win_w;
  const i64 windows = ((g.h + g.win_h - 1) / g.win_h) * ((g.w + g.win_w - 1) / g.win_w);
  const auto qkv = random<T>(g.h * g.w * 3 * channels, 1), pad = random<T>(3 * channels, 2),
             bias = random<T>(g.heads * n, 3), dout = random<T>(g.h * g.w * channels, 4);
  std::vector<T> y(dout.size()), dqkv(qkv.size()), dpad(pad.size()), dbias(bias.size());
  std::vector<float> lse(static_cast<std::size_t>(windows * g.heads * n));
  const k::WindowAttention forward = grid_attention<T>(g, qkv, pad, nullptr, nullptr, bias.data(), y, lse);
  cpu::kernels().window_attention(forward);
  const auto run = [&](int count) {
    const Threads some(count);
    cpu::kernels().window_attention_backward({forward, dout.data(), dqkv.data(), dpad.data(), dbias.data()});
  };
  run(3);
  const auto wanted = grid_gradients(g, forward.scale, qkv, pad, bias, dout, exactly),
             plain = grid_gradients(g, forward.scale, qkv, pad, bias, dout, as_bf16);
  check_gradient("dqkv", wanted.dqkv, plain.dqkv, dqkv);
  check_gradient("dpad", wanted.dpad, plain.dpad, dpad);
  check_gradient("dbias", wanted.dbias, plain.dbias, dbias);
  const auto dqkv3 = dqkv, dpad3 = dpad, dbias3 = dbias;
  run(1);
  const auto same = [](const std::vector<T>& a, const std::vector<T>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
  };
  CHECK(same(dqkv, dqkv3));
  CHECK(same(dpad, dpad3));
  CHECK(same(dbias, dbias3));
}

template <class T>
void check_all_grid_gradients() {
  for (const Grid& g : {Grid{10, 15, 3, 32, 7, 7, false, true}, Grid{14, 16, 2, 32, 14, 14, false, false},
                        Grid{17, 18, 1, 16, 17, 17, false, true}, Grid{9, 13, 2, 24, 9, 7, false, true},
                        Grid{42, 45, 2, 8, 7, 7, false, true}})
    check_grid_gradients<T>(g);
}

}  // namespace

TEST_CASE("gradients of attention in f32") {
  check_all_list_gradients<float>();
  check_all_grid_gradients<float>();
}

TEST_CASE("gradients of attention in bf16") {
  check_all_list_gradients<bf16>();
  check_all_grid_gradients<bf16>();
}

TEST_CASE("gradients of attention in bf16 by AMX, on its stand-in") {
  if (!cpu::has_avx512()) return;
  const AmxStandIn amx;
  check_all_list_gradients<bf16>();
  check_all_grid_gradients<bf16>();
}
