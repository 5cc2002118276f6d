#include "nets/bands.h"

#include <algorithm>

#include "engine/autograd.h"
#include "engine/ops.h"
#include "engine/trace.h"

namespace bp {
namespace {

// Elements of a band's largest map. Two such maps fit the third-level caches of today; from kWorth on the
// whole map does not, and bands gain more than the rows they compute twice.
constexpr i64 kBand = i64{1} << 21, kWorth = i64{1} << 23;
constexpr i64 kLeastRows = 1024;  // of in_bands: a weight that is not packed is, once per band

bool worth_it(const Tensor& x, i64 elements) {
  return x.device().type == Device::Type::cpu && elements >= kWorth && !tracing() && !tracks_grad({x});
}

// How many of `rows` rows of `widest` elements make a band, the same for all but the last.
i64 rows_per_band(i64 rows, i64 widest, i64 least) {
  const i64 bands = std::max<i64>(1, std::min(rows * widest / kBand, rows / least));
  return (rows + bands - 1) / bands;
}

}  // namespace

bool comes_in_bands(const Tensor& x, i64 widest) {
  return worth_it(x, x.rows() * widest) && rows_per_band(x.rows(), widest, kLeastRows) < x.rows();
}

Tensor in_bands(const Tensor& x, i64 widest, const Layers& f) {
  if (!comes_in_bands(x, widest)) return f(x);
  const Tensor rows = x.reshape({x.rows(), x.dim(-1)});
  const i64 step = rows_per_band(x.rows(), widest, kLeastRows);
  std::vector<Tensor> parts;
  for (i64 begin = 0; begin < x.rows(); begin += step)
    parts.push_back(f(rows.slice(begin, std::min(x.rows(), begin + step))));
  Shape shape = x.shape();
  shape[-1] = parts[0].dim(-1);
  return concat(parts, 0).reshape(shape);
}

Tensor in_image_bands(const Tensor& x, i64 widest, i64 stride, const Layers& f) {
  const i64 images = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  if (!worth_it(x, images * h * widest)) return f(x);
  std::vector<Tensor> parts;
  if (h * widest <= kBand) {
    const i64 step = rows_per_band(images, h * widest, 1);
    for (i64 n = 0; n < images; n += step) parts.push_back(f(x.slice(n, std::min(images, n + step))));
    return concat(parts, 0);
  }
  const i64 out = h / stride, step = rows_per_band(out, stride * widest, 1);
  for (i64 n = 0; n < images; ++n) {
    const Tensor image = x.slice(n, n + 1).reshape({h, w, c});
    for (i64 begin = 0; begin < out; begin += step) {
      const i64 end = std::min(out, begin + step);
      // One row of the result more at each side that is not the image's; with a stride the lower one needs
      // nothing from below.
      const i64 above = begin > 0 ? 1 : 0, below = stride == 1 && end < out ? 1 : 0;
      const Tensor band = image.slice((begin - above) * stride, (end + below) * stride);
      const Tensor y = f(band.reshape({1, band.dim(0), w, c}));
      parts.push_back(y.reshape({y.dim(1), y.dim(2), y.dim(3)}).slice(above, above + end - begin));
    }
  }
  const Tensor all = concat(parts, 0);
  return all.reshape({images, out, all.dim(1), all.dim(2)});
}

}  // namespace bp
