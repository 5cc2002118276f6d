// Layers done in bands give the bytes that they give at once.
#include <doctest/doctest.h>

#include "engine/ops.h"
#include "engine/trace.h"
#include "nets/bands.h"
#include "tests/random_tensors.h"

using namespace bp;
using namespace bp::testing;

namespace {

// Counts the calls that f gets.
Layers counted(const Layers& f, int& calls) {
  return [&f, &calls](const Tensor& x) { return ++calls, f(x); };
}

constexpr i64 kLarge = i64{1} << 24;  // elements of a row: every row its own band

}  // namespace

TEST_CASE("rows in bands") {
  const Tensor x = some({3, 1100, 5}, 1), w = some({7, 5}, 2), b = some({7}, 3);
  const Layers f = [&](const Tensor& rows) { return linear(rows, w, b, Act::gelu); };
  int calls = 0;
  CHECK(same_bytes(in_bands(x, kLarge, counted(f, calls)), f(x)));
  CHECK(calls == 3);  // of 1,100 rows each: bands have at least 1,024
  CHECK(comes_in_bands(x, kLarge));
  calls = 0;
  in_bands(x, 7, counted(f, calls));
  CHECK(calls == 1);
  CHECK_FALSE(comes_in_bands(x, 7));
  CHECK_FALSE(comes_in_bands(x.slice(0, 1), kLarge));  // one band
}

TEST_CASE("images in bands, with the rows around them") {
  const Tensor w = some({3, 3, 6}, 4), b = some({6}, 5), dense = some({4, 3, 3, 6}, 6);
  const Layers one = [&](const Tensor& x) { return depthwise(x, w, b, 1, Act::gelu); };
  const Layers halved = [&](const Tensor& x) { return depthwise(gelu(x), w, b, 2); };
  const Layers quartered = [&](const Tensor& x) {
    return depthwise(conv2d(x, some({6, 3, 3, 6}, 7), b, 2, 1), w, b, 2);
  };
  struct Case {
    const Layers& f;
    i64 stride, h;
  };
  for (const auto& [f, stride, h] : {Case{one, 1, 7}, Case{halved, 2, 10}, Case{quartered, 4, 20}})
    for (i64 images : {1, 3})
      // A band of one row, of several with a shorter last one, and of whole images.
      for (i64 widest : {kLarge, (i64{1} << 21) / (3 * stride), (i64{1} << 21) / h}) {
        CAPTURE(stride);
        CAPTURE(images);
        CAPTURE(widest);
        const Tensor x = some({images, h, 9, 6}, 8);
        CHECK(same_bytes(in_image_bands(x, widest, stride, f), f(x)));
      }
}

TEST_CASE("no bands where a gradient or a trace wants the whole") {
  Tensor x = some({1, 4, 4, 2}, 9);
  int calls = 0;
  const Layers f = [&](const Tensor& y) { return ++calls, gelu(y); };
  {
    const Trace trace;
    in_image_bands(x, kLarge, 1, f);
  }
  x.requires_grad();
  in_image_bands(x, kLarge, 1, f);
  CHECK(calls == 2);
}
