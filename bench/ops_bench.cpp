// The main ops at the shapes of SAM ViT-B (1024 x 1024: 4096 tokens of 768) and MobileSAM, beside a plain
// copy of memory.
#include "bench/counters.h"

namespace bp::bench {
namespace {

using benchmark::State;

// The ceiling of all that only moves memory.
void copy_256_mb(State& state) {
  const Tensor from = on_device(full({1 << 26}, 1.0f)), y = empty_like(from);
  const std::size_t bytes = static_cast<std::size_t>(from.numel()) * size_of(from.dtype());
  measure(state, [&] {
    copy_into(y, from);
    return y.raw();
  });
  count(state, 0, 2.0 * static_cast<double>(bytes));
}

// The ceiling of arithmetic: a product with nothing around it.
void product(State& state) {
  const i64 n = state.range(0);
  const Tensor a = random("a", {n, n}), b = random("b", {n, n});
  measure(state, [&] { return matmul(a, b, false, true); });
  count(state, static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n), 0);
}

void linear_op(State& state, Act act) {
  const i64 rows = state.range(0), out = state.range(1), in = state.range(2);
  const Tensor x = random("x", {rows, in}), w = random("w", {out, in}), b = random("b", {out});
  measure(state, [&] { return linear(x, w, b, act); });
  count(state, static_cast<double>(rows * out * in),
        4.0 * static_cast<double>(rows * in + out * in + rows * out));
}

// Logits and weighted sum: 2 tokens^2 d per head, in windows padded to `window`, or global with window 0.
void sam_attention(State& state) {
  const i64 heads = state.range(0), d = state.range(1), window = state.range(2), grid = 64;
  const i64 side = window ? window : grid, windows = window ? (grid + window - 1) / window : 1;
  const Tensor qkv = random("qkv", {1, grid, grid, 3 * heads * d}), pad = random("pad", {3 * heads * d});
  const Tensor rel_h = random("rel_h", {2 * side - 1, d}), rel_w = random("rel_w", {2 * side - 1, d});
  measure(state, [&] {
    return window_attention(qkv, {.heads = heads, .window = window}, window ? pad : Tensor{}, rel_h, rel_w,
                            {});
  });
  const double tokens = static_cast<double>(side * side);
  count(state, 2.0 * static_cast<double>(windows * windows * heads * d) * tokens * tokens,
        4.0 * static_cast<double>(grid * grid * 4 * heads * d));
}

void cross_attention(State& state) {
  const i64 nq = state.range(0), nk = state.range(1), heads = 8, d = 16;
  const Tensor q = random("q", {1, nq, heads * d}), k = random("k", {1, nk, heads * d}),
               v = random("v", {1, nk, heads * d});
  measure(state, [&] { return attention(q, k, v, heads, 0.25f); });
  count(state, 2.0 * static_cast<double>(nq * nk * heads * d),
        4.0 * static_cast<double>(2 * (nq + nk) * heads * d));
}

void layer_norm_op(State& state) {
  const i64 rows = state.range(0), cols = state.range(1);
  const Tensor x = random("x", {rows, cols}), w = random("w", {cols}), b = random("b", {cols});
  measure(state, [&] { return layer_norm(x, w, b, 1e-6f); });
  count(state, 0, 8.0 * static_cast<double>(rows * cols));
}

void gelu_op(State& state) {
  const Tensor x = random("x", {state.range(0), state.range(1)}, 3.0);
  measure(state, [&] { return gelu(x); });
  count(state, 0, 8.0 * static_cast<double>(x.numel()));
}

void depthwise_op(State& state) {
  const i64 side = state.range(0), c = state.range(1), stride = state.range(2), out = side / stride;
  const Tensor x = random("x", {1, side, side, c}), w = random("w", {3, 3, c}), b = random("b", {c});
  measure(state, [&] { return depthwise(x, w, b, stride); });
  count(state, static_cast<double>(9 * out * out * c),
        4.0 * static_cast<double>((side * side + out * out) * c));
}

void conv_op(State& state) {
  const i64 side = state.range(0), in = state.range(1), out = state.range(2), kernel = state.range(3),
            stride = state.range(4), pad = kernel == 3 ? 1 : 0, to = side / stride;
  const Tensor x = random("x", {1, side, side, in}), w = random("w", {out, kernel, kernel, in});
  measure(state, [&] { return conv2d(x, w, {}, stride, pad); });
  count(state, static_cast<double>(to * to * out * kernel * kernel * in),
        4.0 * static_cast<double>(side * side * in + to * to * out));
}

void resize_mask(State& state) {  // 256 -> 1024 -> 2100 x 1400, as postprocessing does
  const Tensor logits = random("logits", {1, 256, 256, 1});
  measure(state, [&] { return resize_bilinear(resize_bilinear(logits, 1024, 1024), 2100, 1400); });
  count(state, 0, 4.0 * (256.0 * 256 + 2 * 1024.0 * 1024 + 2100.0 * 1400));
}

BENCHMARK(copy_256_mb)->UseManualTime();
BENCHMARK(product)->Arg(2048)->Arg(8192)->UseManualTime();
BENCHMARK_CAPTURE(linear_op, sam_b_qkv, Act::none)->Args({4096, 2304, 768})->UseManualTime();
BENCHMARK_CAPTURE(linear_op, sam_b_mlp1_gelu, Act::gelu)->Args({4096, 3072, 768})->UseManualTime();
BENCHMARK_CAPTURE(linear_op, sam_b_mlp2, Act::none)->Args({4096, 768, 3072})->UseManualTime();
BENCHMARK_CAPTURE(linear_op, sam_t_expand_gelu, Act::gelu)->Args({65536, 256, 64})->UseManualTime();
BENCHMARK(sam_attention)
    ->ArgNames({"heads", "d", "window"})
    ->Args({12, 64, 0})
    ->Args({12, 64, 14})
    ->Args({16, 80, 0})
    ->UseManualTime();
BENCHMARK(cross_attention)->ArgNames({"queries", "keys"})->Args({7, 4096})->Args({4096, 7})->UseManualTime();
BENCHMARK(layer_norm_op)->Args({4096, 768})->UseManualTime();
BENCHMARK(gelu_op)->Args({4096, 3072})->UseManualTime();
BENCHMARK(depthwise_op)
    ->ArgNames({"side", "c", "stride"})
    ->Args({256, 256, 1})
    ->Args({256, 128, 2})
    ->Args({64, 320, 1})
    ->UseManualTime();
BENCHMARK(conv_op)
    ->ArgNames({"side", "in", "out", "kernel", "stride"})
    ->Args({1024, 3, 768, 16, 16})
    ->Args({64, 256, 256, 3, 1})
    ->Args({1024, 3, 32, 3, 2})
    ->UseManualTime();
BENCHMARK(resize_mask)->UseManualTime();

}  // namespace
}  // namespace bp::bench
