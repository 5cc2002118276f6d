// The CPU's attention, for everything that chooses another way through it: few keys or many, windows that are
// one thread's work or everybody's, tables of positions that are spread once or per query, both types, and
// AMX on its stand-in; and its gradients. Beside sums in f64.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/cpu/bf16_dot.h"
#include "kernels/cpu/dispatch.h"
#include "tests/ladders_cpu_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

template <class T>
std::vector<T> random(i64 n, unsigned seed, float size = 1.5f) {
  std::vector<T> v;
  for (float x : numbers(n, seed, -size, size)) v.push_back(from_f32<T>(x));
  return v;
}
template <class T>
constexpr DType kType = std::is_same_v<T, float> ? DType::f32 : DType::bf16;

// f32: rounding of sums and of exponentials of logits up to 20. bf16: weights and results are rounded to it.
template <class T>
constexpr double kTolerance = std::is_same_v<T, float> ? 1e-5 : 8e-3;

// Row `query` of softmax(logit) value, and the log of the denominator.
struct Row {
  std::vector<double> o;
  double lse;
};
Row softmax_row(i64 keys, i64 d, const std::function<double(i64)>& logit,
                const std::function<double(i64, i64)>& value) {
  Row row{std::vector<double>(static_cast<std::size_t>(d)), 0};
  double sum = 0;
  for (i64 t = 0; t < keys; ++t) {
    const double weight = std::exp(logit(t));
    sum += weight;
    for (i64 c = 0; c < d; ++c) row.o[static_cast<std::size_t>(c)] += weight * value(t, c);
  }
  for (double& x : row.o) x /= sum;
  row.lse = std::log(sum);
  return row;
}

// The larger difference; infinite where there is anything but a number.
double worse(double error, double wanted, double got) {
  const double difference = std::abs(wanted - got);
  return std::isfinite(difference) ? std::max(error, difference) : INFINITY;
}
template <class T>
double worst(const Row& wanted, const T* o, float lse) {
  const double size = std::max(1.0, std::abs(wanted.lse));
  double error = worse(0, wanted.lse / size, lse / size);
  for (std::size_t c = 0; c < wanted.o.size(); ++c) error = worse(error, wanted.o[c], to_f32(o[c]));
  return error;
}

struct Lists {
  i64 heads, d, nq, nk;
};

// Batches of 2, with rows and batches that lie apart.
template <class T>
void check_lists(const Lists& s) {
  CAPTURE(s.d);
  CAPTURE(s.nq);
  CAPTURE(s.nk);
  const i64 channels = s.heads * s.d, q_row = channels + 3, k_row = 2 * channels;
  const auto q = random<T>(2 * (s.nq + 1) * q_row, 1), k = random<T>(2 * s.nk * k_row, 2),
             v = random<T>(2 * s.nk * k_row, 3);
  std::vector<T> o(static_cast<std::size_t>(2 * s.nq * channels));
  std::vector<float> lse(static_cast<std::size_t>(2 * s.heads * s.nq));
  const float scale = 0.4f;
  cpu::kernels().attention({.q = q.data(),
                            .k = k.data(),
                            .v = v.data(),
                            .o = o.data(),
                            .lse = lse.data(),
                            .batch = 2,
                            .heads = s.heads,
                            .nq = s.nq,
                            .nk = s.nk,
                            .d = s.d,
                            .q_row = q_row,
                            .k_row = k_row,
                            .v_row = k_row,
                            .q_batch = (s.nq + 1) * q_row,
                            .k_batch = s.nk * k_row,
                            .v_batch = s.nk * k_row,
                            .scale = scale,
                            .dtype = kType<T>});
  double error = 0;
  for (i64 b = 0; b < 2; ++b)
    for (i64 h = 0; h < s.heads; ++h)
      for (i64 i = 0; i < s.nq; ++i) {
        const T* const query = q.data() + (b * (s.nq + 1) + i) * q_row + h * s.d;
        const Row row = softmax_row(
            s.nk, s.d,
            [&](i64 t) {
              double dot = 0;
              for (i64 c = 0; c < s.d; ++c)
                dot += double{to_f32(query[c])} *
                       to_f32(k[static_cast<std::size_t>((b * s.nk + t) * k_row + h * s.d + c)]);
              return scale * dot;
            },
            [&](i64 t, i64 c) {
              return double{to_f32(v[static_cast<std::size_t>((b * s.nk + t) * k_row + h * s.d + c)])};
            });
        error = std::max(error, worst(row, o.data() + (b * s.nq + i) * channels + h * s.d,
                                      lse[static_cast<std::size_t>((b * s.heads + h) * s.nq + i)]));
      }
  CHECK(error <= kTolerance<T>);
}

// Around the limits of few keys and of the blocks of keys and queries.
template <class T>
void check_all_lists() {
  for (const Lists& s :
       {Lists{8, 16, 200, 7}, Lists{2, 16, 31, 7}, Lists{2, 32, 33, 16}, Lists{1, 32, 33, 17},
        Lists{3, 7, 50, 3}, Lists{2, 80, 40, 1}, Lists{5, 100, 130, 9}, Lists{2, 256, 35, 2},
        Lists{2, 16, 7, 300}, Lists{1, 40, 70, 513}, Lists{1, 256, 20, 257}})
    check_lists<T>(s);
}

struct Grid {
  i64 h, w, heads, d, win_h, win_w;
  bool relative, per_head;
};

template <class T>
void check_grid(const Grid& g) {
  CAPTURE(g.win_h);
  CAPTURE(g.win_w);
  CAPTURE(g.relative);
  const i64 channels = g.heads * g.d, tokens = g.win_h * g.win_w;
  const i64 down = (g.h + g.win_h - 1) / g.win_h, across = (g.w + g.win_w - 1) / g.win_w;
  const auto qkv = random<T>(g.h * g.w * 3 * channels, 1), pad = random<T>(3 * channels, 2);
  const auto rel_h = random<T>((2 * g.win_h - 1) * g.d, 3, 0.3f),
             rel_w = random<T>((2 * g.win_w - 1) * g.d, 4, 0.3f);
  const auto bias = random<T>(g.heads * tokens, 5);
  std::vector<T> y(static_cast<std::size_t>(g.h * g.w * channels));
  std::vector<float> lse(static_cast<std::size_t>(down * across * g.heads * tokens));
  const float scale = 0.25f;
  const bool table = !g.relative;
  cpu::kernels().window_attention({.qkv = qkv.data(),
                                   .pad = pad.data(),
                                   .rel_h = table ? nullptr : rel_h.data(),
                                   .rel_w = table ? nullptr : rel_w.data(),
                                   .bias = table ? bias.data() : nullptr,
                                   .y = y.data(),
                                   .lse = lse.data(),
                                   .batch = 1,
                                   .h = g.h,
                                   .w = g.w,
                                   .heads = g.heads,
                                   .d = g.d,
                                   .win_h = g.win_h,
                                   .win_w = g.win_w,
                                   .per_head = g.per_head,
                                   .scale = scale,
                                   .dtype = kType<T>});
  const auto at = [&](i64 iy, i64 ix, i64 head, i64 part, i64 c) -> double {
    const i64 offset = g.per_head ? (head * 3 + part) * g.d + c : (part * g.heads + head) * g.d + c;
    return to_f32(iy < g.h && ix < g.w
                      ? qkv[static_cast<std::size_t>((iy * g.w + ix) * 3 * channels + offset)]
                      : pad[static_cast<std::size_t>(offset)]);
  };
  double error = 0;
  // Every 7th query of large windows: a step that meets all places of a row.
  const i64 step = tokens > 300 ? 7 : 1;
  for (i64 window = 0; window < down * across; ++window)
    for (i64 head = 0; head < g.heads; ++head)
      for (i64 i = 0; i < tokens; i += step) {
        const i64 y0 = window / across * g.win_h, x0 = window % across * g.win_w, qy = i / g.win_w,
                  qx = i % g.win_w;
        if (y0 + qy >= g.h || x0 + qx >= g.w) continue;
        const Row row = softmax_row(
            tokens, g.d,
            [&](i64 t) {
              const i64 ky = t / g.win_w, kx = t % g.win_w;
              double dot = 0, position = 0;
              for (i64 c = 0; c < g.d; ++c) {
                const double q = at(y0 + qy, x0 + qx, head, 0, c);
                dot += q * at(y0 + ky, x0 + kx, head, 1, c);
                if (g.relative)
                  position +=
                      q * (to_f32(rel_h[static_cast<std::size_t>((qy - ky + g.win_h - 1) * g.d + c)]) +
                           to_f32(rel_w[static_cast<std::size_t>((qx - kx + g.win_w - 1) * g.d + c)]));
              }
              if (table)
                position = to_f32(bias[static_cast<std::size_t>(head * tokens + std::abs(qy - ky) * g.win_w +
                                                                std::abs(qx - kx))]);
              return scale * dot + position;
            },
            [&](i64 t, i64 c) { return at(y0 + t / g.win_w, x0 + t % g.win_w, head, 2, c); });
        error = std::max(error, worst(row, y.data() + ((y0 + qy) * g.w + x0 + qx) * channels + head * g.d,
                                      lse[static_cast<std::size_t>((window * g.heads + head) * tokens + i)]));
      }
  CHECK(error <= kTolerance<T>);
}

template <class T>
void check_all_grids() {
  for (const bool relative : {true, false})
    for (const Grid& g :
         {Grid{10, 15, 3, 32, 7, 7, relative, true}, Grid{14, 16, 2, 64, 14, 14, relative, false},
          Grid{17, 18, 1, 16, 17, 17, relative, true}, Grid{16, 16, 1, 24, 16, 16, relative, true},
          Grid{33, 32, 1, 16, 33, 32, relative, false}})
      check_grid<T>(g);
  // On one thread a task is several windows, each fetched while the one before is worked on.
  const Threads one(1);
  check_grid<T>({42, 45, 3, 8, 7, 7, false, true});
}

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

// The largest difference, in units of the largest value wanted.
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
  return error / largest;
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
  const k::WindowAttention forward{.qkv = qkv.data(),
                                   .pad = pad.data(),
                                   .rel_h = nullptr,
                                   .rel_w = nullptr,
                                   .bias = bias.data(),
                                   .y = y.data(),
                                   .lse = lse.data(),
                                   .batch = 1,
                                   .h = g.h,
                                   .w = g.w,
                                   .heads = g.heads,
                                   .d = g.d,
                                   .win_h = g.win_h,
                                   .win_w = g.win_w,
                                   .per_head = g.per_head,
                                   .scale = 0.25f,
                                   .dtype = kType<T>};
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

TEST_CASE("attention in f32") {
  check_all_lists<float>();
  check_all_grids<float>();
}

TEST_CASE("attention in bf16") {
  check_all_lists<bf16>();
  check_all_grids<bf16>();
}

TEST_CASE("attention in bf16 by AMX, on its stand-in") {
  if (!cpu::has_avx512()) return;
  const AmxStandIn amx;
  REQUIRE(cpu::bf16_amx());
  check_all_lists<bf16>();
  check_all_grids<bf16>();
}

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

TEST_CASE("attention passes on what is not a number, and survives logits far apart") {
  const i64 n = 40, d = 16;
  for (const i64 queries : {i64{5}, i64{64}})
    for (const i64 keys : {i64{9}, n}) {
      auto q = random<float>(queries * d, 1, 100.0f), k = random<float>(keys * d, 2, 100.0f);
      const auto v = random<float>(keys * d, 3);
      std::vector<float> o(static_cast<std::size_t>(queries * d));
      q[static_cast<std::size_t>(3 * d + 1)] = NAN;
      cpu::kernels().attention({.q = q.data(),
                                .k = k.data(),
                                .v = v.data(),
                                .o = o.data(),
                                .lse = nullptr,
                                .batch = 1,
                                .heads = 1,
                                .nq = queries,
                                .nk = keys,
                                .d = d,
                                .q_row = d,
                                .k_row = d,
                                .v_row = d,
                                .q_batch = 0,
                                .k_batch = 0,
                                .v_batch = 0,
                                .scale = 1,
                                .dtype = DType::f32});
      for (i64 i = 0; i < queries; ++i)
        for (i64 c = 0; c < d; ++c) {
          const float x = o[static_cast<std::size_t>(i * d + c)];
          CHECK((i == 3 ? std::isnan(x) : std::abs(x) <= 1.5f));
        }
    }
}
