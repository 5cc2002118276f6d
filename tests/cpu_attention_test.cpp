// The CPU's attention, for everything that chooses another way through it: few keys or many, windows that are
// one thread's work or everybody's, tables of positions that are spread once or per query, both types, and
// AMX on its stand-in. Beside sums in f64.
#include <array>

#include "tests/cpu_attention_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

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

// `shift` is added to the table of biases.
template <class T>
void check_grid(const Grid& g, float shift = 0.0f) {
  CAPTURE(shift);
  CAPTURE(g.win_h);
  CAPTURE(g.win_w);
  CAPTURE(g.relative);
  const i64 channels = g.heads * g.d, tokens = g.win_h * g.win_w;
  const i64 down = (g.h + g.win_h - 1) / g.win_h, across = (g.w + g.win_w - 1) / g.win_w;
  const auto qkv = random<T>(g.h * g.w * 3 * channels, 1), pad = random<T>(3 * channels, 2);
  const auto rel_h = random<T>((2 * g.win_h - 1) * g.d, 3, 0.3f),
             rel_w = random<T>((2 * g.win_w - 1) * g.d, 4, 0.3f);
  auto bias = random<T>(g.heads * tokens, 5);
  for (T& x : bias) x = from_f32<T>(to_f32(x) + shift);
  std::vector<T> y(static_cast<std::size_t>(g.h * g.w * channels));
  std::vector<float> lse(static_cast<std::size_t>(down * across * g.heads * tokens));
  const float scale = 0.25f;
  const bool table = !g.relative;
  cpu::kernels().window_attention(grid_attention<T>(g, qkv, pad, table ? nullptr : rel_h.data(),
                                                    table ? nullptr : rel_w.data(),
                                                    table ? bias.data() : nullptr, y, lse));
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
  {  // On one thread a task is several windows, each fetched while the one before is worked on.
    const Threads one(1);
    check_grid<T>({42, 45, 3, 8, 7, 7, false, true});
  }
  for (const int n : {2, 3}) {  // Five units are cut into parts.
    const Threads threads(n);
    check_grid<T>({14, 14, 5, 16, 14, 14, false, true});
  }
  // Positions far below and above what the first key's product says.
  for (const float shift : {-100.0f, 100.0f}) check_grid<T>({9, 9, 2, 8, 9, 9, false, true}, shift);
}

// Rows that lie one after another, of one head.
template <class T>
k::Attention one_head(const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& v,
                      std::vector<T>& o, float* lse, i64 queries, i64 keys, i64 d) {
  return {.q = q.data(),
          .k = k.data(),
          .v = v.data(),
          .o = o.data(),
          .lse = lse,
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
          .dtype = kType<T>};
}

// One query whose logits are given, beside values that name their keys.
template <class T>
void check_logits(const std::vector<float>& logits, double tolerance) {
  const i64 keys = static_cast<i64>(logits.size()), d = 16;
  std::vector<T> q(static_cast<std::size_t>(d)), k(static_cast<std::size_t>(keys * d)), o(q);
  const auto v = random<T>(keys * d, 3);
  q[0] = from_f32<T>(1.0f);
  for (i64 t = 0; t < keys; ++t)
    k[static_cast<std::size_t>(t * d)] = from_f32<T>(logits[static_cast<std::size_t>(t)]);
  float lse = 0;
  cpu::kernels().attention(one_head<T>(q, k, v, o, &lse, 1, keys, d));
  const Row row = softmax_row(
      keys, d, [&](i64 t) { return logits[static_cast<std::size_t>(t)]; },
      [&](i64 t, i64 c) { return to_f32(v[static_cast<std::size_t>(t * d + c)]); });
  CHECK(worst(row, o.data(), lse) <= tolerance);
}
template <class T>
void check_far_logits() {
  // Several blocks of keys whose logits, integers, are around these; what leads is never the first key.
  for (const std::array<float, 4>& blocks :
       {std::array{0.0f, 0.0f, 0.0f, 0.0f}, std::array{0.0f, 60.0f, 0.0f, 60.0f},
        std::array{-60.0f, 0.0f, 60.0f, 120.0f}, std::array{80.0f, 0.0f, -80.0f, 81.0f}}) {
    CAPTURE(blocks[3]);
    std::vector<float> logits(1000);
    for (std::size_t t = 0; t < logits.size(); ++t)
      logits[t] = blocks[t / 256] + static_cast<float>(t * 7 % 5);
    const double tolerance = std::max(1e-4, kTolerance<T>);
    check_logits<T>(logits, tolerance);
    logits[0] -= 120;
    check_logits<T>(logits, tolerance);
  }
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

TEST_CASE("attention to keys whose logits are far from one another") {
  check_far_logits<float>();
  check_far_logits<bf16>();
}

TEST_CASE("in bf16 a key that leads all others gives its own value: its weight is rounded above and below") {
  for (const float lead : {17.0f, 18.5f, 19.25f, 20.125f}) {
    CAPTURE(lead);
    std::vector<float> logits(300);
    logits[7] = lead;
    check_logits<bf16>(logits, 1e-4);
  }
}

TEST_CASE("attention is the same for any number of threads") {
  const Grid g{14, 14, 5, 16, 14, 14, false, true};
  const auto qkv = random<float>(14 * 14 * 3 * 80, 1), pad = random<float>(3 * 80, 2),
             bias = random<float>(5 * 196, 3);
  std::vector<float> first, y(14 * 14 * 80), lse(5 * 196);
  for (const int n : {1, 2, 3, 4}) {
    const Threads threads(n);
    std::fill(y.begin(), y.end(), NAN);
    cpu::kernels().window_attention(
        grid_attention<float>(g, qkv, pad, nullptr, nullptr, bias.data(), y, lse));
    if (n == 1) first = y;
    CHECK(y == first);
  }
}

TEST_CASE("attention passes on what is not a number, and survives logits far apart") {
  const i64 n = 40, d = 16;
  for (const i64 queries : {i64{5}, i64{64}})
    for (const i64 keys : {i64{9}, n}) {
      auto q = random<float>(queries * d, 1, 100.0f), k = random<float>(keys * d, 2, 100.0f);
      const auto v = random<float>(keys * d, 3);
      std::vector<float> o(static_cast<std::size_t>(queries * d));
      q[static_cast<std::size_t>(3 * d + 1)] = NAN;
      cpu::kernels().attention(one_head<float>(q, k, v, o, nullptr, queries, keys, d));
      for (i64 i = 0; i < queries; ++i)
        for (i64 c = 0; c < d; ++c) {
          const float x = o[static_cast<std::size_t>(i * d + c)];
          CHECK((i == 3 ? std::isnan(x) : std::abs(x) <= 1.5f));
        }
    }
}
