// What the table of op cases leaves out: refusals, conversions, layouts of parameters, ops on 8-bit images.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "engine/ops.h"
#include "engine/param.h"
#include "tests/test_device.h"

using namespace bp;

namespace {

const Device kDevice = testing::test_device();

Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return from_values(shape, values, DType::f32, kDevice);
}

}  // namespace

TEST_CASE("ops refuse wrong shapes by name, with both shapes") {
  struct Refusal {
    std::string op;
    std::function<void()> run;
    std::string says;
  };
  const auto x = [](const Shape& shape) { return zeros(shape); };
  const Refusal refusals[] = {{"add",
                               [&] {
                                 add(x({2, 3}), x({2}));
                               },
                               "[2,3] and [2]"},
                              {"add", [&] { add(x({2}), zeros({2}, DType::bf16)); }, "f32 and bf16"},
                              {"add", [&] { add(x({2}), {}); }, "undefined"},
                              {"gelu", [&] { gelu(zeros({2}, DType::i32)); }, "i32"},
                              {"cast", [&] { cast(x({2}), DType::u8); }, "u8"},
                              {"sum_to",
                               [&] {
                                 sum_to(x({2, 3}), {2});
                               },
                               "[2,3] to [2]"},
                              {"sum_to",
                               [&] {
                                 sum_to(x({3}), {1, 3});
                               },
                               "[3] to [1,3]"},
                              {"mean", [&] { mean(x({0})); }, "no elements"},
                              {"softmax", [&] { softmax(x({})); }, "scalar"},
                              {"permute",
                               [&] {
                                 permute(x({2, 3}), {0, 0});
                               },
                               "[2,3]"},
                              {"permute",
                               [&] {
                                 permute(x({2, 3}), {1});
                               },
                               "[2,3]"},
                              {"concat",
                               [&] {
                                 concat({x({2, 3}), x({3, 3})}, 1);
                               },
                               "[2,3] and [3,3]"},
                              {"concat",
                               [&] {
                                 concat({x({2, 3}), x({2})}, 0);
                               },
                               "[2,3] and [2]"},
                              {"concat", [&] { concat({}, 0); }, "no tensors"},
                              {"slice",
                               [&] {
                                 slice(x({2, 3}), 1, 2, 4);
                               },
                               "[2,4)"},
                              {"slice",
                               [&] {
                                 slice(x({2, 3}), 2, 0, 1);
                               },
                               "no axis 2"},
                              {"matmul",
                               [&] {
                                 matmul(x({2, 3}), x({2, 3}));
                               },
                               "[2,3] x [2,3]"},
                              {"matmul",
                               [&] {
                                 matmul(x({2, 2, 3}), x({3, 3, 2}));
                               },
                               "[2,2,3] x [3,3,2]"},
                              {"linear",
                               [&] {
                                 linear(x({2, 3}), x({4, 2}));
                               },
                               "input [2,3], weight [4,2]"},
                              {"linear",
                               [&] {
                                 linear(x({2, 3}), x({4, 3}), x({3}));
                               },
                               "bias [3], wanted [4]"},
                              {"linear",
                               [&] {
                                 linear(x({2, 3}), x({4, 3}), {}, Act::none, x({2, 3}));
                               },
                               "residual [2,3], wanted [2,4]"},
                              {"conv2d",
                               [&] {
                                 conv2d(x({1, 5, 5, 3}), x({4, 3, 3, 2}), {}, 1, 1);
                               },
                               "weight [4,3,3,2]"},
                              {"conv2d",
                               [&] {
                                 conv2d(x({1, 2, 2, 3}), x({4, 3, 3, 3}), {}, 1, 0);
                               },
                               "smaller"},
                              {"depthwise",
                               [&] {
                                 depthwise(x({1, 5, 5, 3}), x({3, 3, 2}), {}, 1);
                               },
                               "weight [3,3,2]"},
                              {"depthwise",
                               [&] {
                                 depthwise(x({1, 5, 5, 3}), x({3, 3, 3}), {}, 3);
                               },
                               "stride 3"},
                              {"layer_norm",
                               [&] {
                                 layer_norm(x({2, 3}), x({2}), x({3}), 1e-5f);
                               },
                               "weight [2], bias [3]"},
                              {"attention",
                               [&] {
                                 attention(x({3, 2, 8}), x({2, 2, 8}), x({2, 2, 8}), 2, 1);
                               },
                               "q [3,2,8], k [2,2,8]"},
                              {"attention",
                               [&] {
                                 attention(x({1, 2, 8}), x({1, 2, 8}), x({1, 2, 8}), 3, 1);
                               },
                               "3 heads for 8"},
                              {"window_attention",
                               [&] {
                                 window_attention(x({1, 5, 4, 24}), {2, 4}, {}, {}, {}, {});
                               },
                               "stick out"},
                              {"window_attention",
                               [&] {
                                 window_attention(x({1, 4, 4, 24}), {2, 4}, {}, x({7, 4}), x({5, 4}), {});
                               },
                               "wanted [7,4] and [7,4]"},
                              {"window_attention",
                               [&] {
                                 window_attention(x({1, 4, 4, 24}), {2, 4}, {}, {}, {}, x({2, 8}));
                               },
                               "wanted [2,16]"},
                              {"resize_bilinear",
                               [&] {
                                 resize_bilinear(x({5, 5, 3}), 2, 2);
                               },
                               "[5,5,3]"},
                              {"resize_bilinear",
                               [&] {
                                 resize_bilinear(x({1, 5, 5, 3}), 0, 2);
                               },
                               "0x2"},
                              {"attention",
                               [&] {
                                 attention(x({1, 2, 0}), x({1, 2, 0}), x({1, 2, 0}), 2, 1);
                               },
                               "2 heads for 0"},
                              {"conv2d",
                               [&] {
                                 conv2d(x({1, 5, 5, 0}), x({4, 3, 3, 0}), {}, 1, 1);
                               },
                               "empty"},
                              {"depthwise",
                               [&] {
                                 depthwise(x({1, 5, 5, 0}), x({3, 3, 0}), {}, 1);
                               },
                               "empty"},
                              {"resize_bilinear",
                               [&] {
                                 resize_bilinear(x({1, 5, 5, 0}), 2, 2);
                               },
                               "[1,5,5,0]"},
                              {"resize_pil",
                               [&] {
                                 resize_pil(x({5, 5, 3}), 2, 2);
                               },
                               "u8"},
                              {"normalize_pad",
                               [&] {
                                 const float v[3] = {1, 1, 1};
                                 normalize_pad(zeros({5, 5, 3}, DType::u8), 4, 9, v, v);
                               },
                               "4x9"}};
  for (const Refusal& r : refusals) {
    CAPTURE(r.op);
    CAPTURE(r.says);
    std::string message = "nothing was refused";
    try {
      r.run();
    } catch (const Error& e) {
      message = e.what();
    }
    CAPTURE(message);
    CHECK(message.rfind(r.op, 0) == 0);
    CHECK(message.find(r.says) != std::string::npos);
  }
}

TEST_CASE("casts round to the nearest even and keep what is not a number") {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> values{0.0f, -0.0f, 1.0f, inf, -inf, NAN, std::bit_cast<float>(0x7f800001u)};
  std::vector<float> expected{0.0f, -0.0f, 1.0f, inf, -inf, NAN, NAN};
  const auto add_bits = [&](std::uint32_t in, std::uint32_t out) {
    values.push_back(std::bit_cast<float>(in));
    expected.push_back(std::bit_cast<float>(out));
  };
  add_bits(0x3f808000, 0x3f800000);  // half way: to even
  add_bits(0x3f818000, 0x3f820000);
  add_bits(0x3f808001, 0x3f810000);
  add_bits(0x3f807fff, 0x3f800000);
  add_bits(0x7f7fffff, 0x7f800000);  // the largest f32 rounds to infinity
  add_bits(0x00000001, 0x00000000);
  while (values.size() < 41) add_bits(0xbf808001, 0xbf810000);  // more than one vector, with a tail
  const std::vector<float> got =
      cast(cast(from_values({41}, values, DType::f32, kDevice), DType::bf16), DType::f32).values();
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    if (std::isnan(expected[i]))
      CHECK(std::isnan(got[i]));
    else
      CHECK(std::bit_cast<std::uint32_t>(got[i]) == std::bit_cast<std::uint32_t>(expected[i]));
  }
}

TEST_CASE("a cast passes its gradient on in the type of its input") {
  Tensor x = counting({19});
  x.requires_grad();
  backward(sum(cast(x, DType::bf16)));
  CHECK(x.grad().dtype() == DType::f32);
  CHECK(x.grad().values() == std::vector<float>(19, 1.0f));
}

TEST_CASE("integer tensors can be moved") {
  const Tensor x = full({2, 3}, 7, DType::i32, kDevice), image = full({3, 5, 2}, 200, DType::u8, kDevice);
  CHECK(permute(x, {1, 0}).values() == std::vector<float>(6, 7));
  CHECK(concat({image, image}, 1).shape() == Shape{3, 10, 2});
  CHECK(slice(image, 1, 1, 3).values() == std::vector<float>(12, 200));
}

TEST_CASE("an empty batch gives empty results and no gradient") {
  const auto ones = [](const Shape& shape) { return full(shape, 1, DType::f32, kDevice); };
  Tensor x = ones({0, 5, 4, 8}), w = ones({8, 3, 3, 8}), taps = ones({3, 3, 8}), row = ones({8});
  for (Tensor* p : {&x, &w, &taps, &row}) p->requires_grad();
  Tensor y = depthwise(conv2d(x, w, row, 1, 1, Act::gelu), taps, row, 1);
  y = resize_bilinear(softmax(layer_norm(add(y, row), row, row, 1e-5f)), 3, 2);
  y = linear(y, ones({8, 8}), row, Act::relu);
  y = permute(concat({y, y}, 3), {0, 2, 1, 3});
  CHECK(y.shape() == Shape{0, 2, 3, 16});
  backward(sum(y));
  CHECK(w.grad().values() == std::vector<float>(576, 0.0f));
  CHECK(taps.grad().values() == std::vector<float>(72, 0.0f));
  CHECK(row.grad().values() == std::vector<float>(8, 0.0f));
}

TEST_CASE("attention takes one set of queries or keys for every batch") {
  const Tensor many = affine(counting({3, 5, 8}), 0.01f, -0.5f),
               few = affine(counting({3, 4, 8}), 0.02f, -0.7f);
  const auto each = [](const Tensor& x) { return concat({x, x, x}, 0); };
  const Tensor q = many.slice(1, 2), k = few.slice(1, 2), v = few.slice(2, 3);
  CHECK(attention(q, few, few, 2, 0.5f).values() == attention(each(q), few, few, 2, 0.5f).values());
  CHECK(attention(many, k, v, 2, 0.5f).values() == attention(many, each(k), each(v), 2, 0.5f).values());
  Tensor tracked = few;
  tracked.requires_grad();
  CHECK_THROWS_WITH_AS(attention(q, tracked, tracked, 2, 0.5f), doctest::Contains("attention: no gradient"),
                       Error);
}

TEST_CASE("parameters change layout and back") {
  const Tensor conv = counting({2, 3, 4, 5}), depth = counting({7, 1, 3, 3}),
               transposed = counting({3, 4, 2, 2});
  struct Case {
    const Tensor& published;
    Layout layout;
    Shape ours;
    i64 at;       // a flat index in ours
    float value;  // and the value that belongs there
  };
  // ours[o,y,x,i] = published[o,i,y,x] and so on, at one place where all indices differ
  for (const Case& c :
       {Case{conv, Layout::as_is, {2, 3, 4, 5}, 61, 61},
        Case{conv, Layout::conv, {2, 4, 5, 3}, ((1 * 4 + 2) * 5 + 3) * 3 + 0, ((1 * 3 + 0) * 4 + 2) * 5 + 3},
        Case{depth, Layout::depthwise, {3, 3, 7}, (1 * 3 + 2) * 7 + 4, (4 * 3 + 1) * 3 + 2},
        Case{transposed,
             Layout::transpose2x2,
             {2, 2, 4, 3},
             ((1 * 2 + 0) * 4 + 3) * 3 + 2,
             ((2 * 4 + 3) * 2 + 1) * 2 + 0}}) {
    const Tensor ours = to_ours(c.published, c.layout);
    CHECK(ours.shape() == c.ours);
    CHECK(ours.values()[static_cast<std::size_t>(c.at)] == c.value);
    const Tensor back = to_published(ours, c.published.shape(), c.layout);
    CHECK(back.shape() == c.published.shape());
    CHECK(back.values() == c.published.values());
  }
  CHECK_THROWS_WITH_AS(to_ours(conv, Layout::depthwise), doctest::Contains("[2,3,4,5]"), Error);
  CHECK_THROWS_WITH_AS(to_published(conv, {2, 3}, Layout::as_is), doctest::Contains("[2,3]"), Error);
}

TEST_CASE("images are normalised and padded with zeros") {
  Tensor x = empty({3, 2, 3}, DType::u8);
  for (i64 i = 0; i < x.numel(); ++i) x.data<u8>()[i] = static_cast<u8>(i * 13);
  const float mean[3] = {10, 20, 30}, std[3] = {2, 4, 8};
  const Tensor y = normalize_pad(to(x, kDevice), 5, 4, mean, std);
  CHECK(y.shape() == Shape{1, 5, 4, 3});
  const std::vector<float> values = y.values();
  for (i64 row = 0; row < 5; ++row)
    for (i64 column = 0; column < 4; ++column)
      for (i64 c = 0; c < 3; ++c) {
        const bool inside = row < 3 && column < 2;
        const double pixel = static_cast<double>((row * 2 + column) * 3 + c) * 13;
        const double expected = inside ? (pixel - mean[c]) / std[c] : 0;
        CHECK(values[static_cast<std::size_t>((row * 4 + column) * 3 + c)] ==
              doctest::Approx(expected).epsilon(1e-6));
      }
  CHECK(resize_pil(to(x, kDevice), 3, 2).values() == x.values());
}
