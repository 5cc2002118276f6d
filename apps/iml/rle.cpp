#include "apps/iml/rle.h"

#include <algorithm>

#include "apps/iml/image.h"
#include "engine/error.h"

namespace bp {
namespace {

void check_size(i64 height, i64 width) {
  require(height > 0 && width > 0 && height <= kMaxSide && width <= kMaxSide && height * width <= kMaxPixels,
          "run lengths of ", width, " x ", height, " pixels");
}

void check_sum(const Rle& rle) {
  std::uint64_t sum = 0;
  for (const std::uint32_t count : rle.counts) sum += count;
  require(sum == static_cast<std::uint64_t>(rle.height * rle.width), "run lengths add up to ", sum,
          ", wanted ", rle.height * rle.width);
}

}  // namespace

Rle rle_of(const Tensor& mask) {
  require(mask.rank() == 2 && mask.dtype() == DType::u8, "run lengths: wanted a mask u8 [H,W]");
  const i64 h = mask.dim(0), w = mask.dim(1);
  // Rows lie together in memory and columns do not, so rows are compared and changes sorted by column after.
  struct Change {
    i64 x, y;
  };
  std::vector<Change> changes;
  const u8* pixels = mask.data<u8>();
  std::vector<i64> begin(static_cast<std::size_t>(w) + 1);  // of each column's changes
  for (i64 y = 0; y < h; ++y) {
    const u8* row = pixels + y * w;
    const u8* above = row - w;
    if (y > 0 && std::equal(row, row + w, above)) continue;
    for (i64 x = 0; x < w; ++x)
      if ((row[x] != 0) != (y > 0 && above[x] != 0)) {
        changes.push_back({x, y});
        ++begin[static_cast<std::size_t>(x) + 1];
      }
  }
  for (std::size_t x = 1; x < begin.size(); ++x) begin[x] += begin[x - 1];
  std::vector<i64> rows(changes.size());
  std::vector<i64> next(begin.begin(), begin.end() - 1);
  for (const Change& c : changes) rows[static_cast<std::size_t>(next[static_cast<std::size_t>(c.x)]++)] = c.y;

  Rle rle{h, w, {}};
  i64 run = 0;  // where the current run began
  bool inside = false;
  const auto change_at = [&](i64 at) {
    rle.counts.push_back(static_cast<std::uint32_t>(at - run));
    run = at;
    inside = !inside;
  };
  for (i64 x = 0; x < w; ++x) {
    const auto column = static_cast<std::size_t>(x);
    auto i = static_cast<std::size_t>(begin[column]);
    const auto end = static_cast<std::size_t>(begin[column + 1]);
    const bool first = i < end && rows[i] == 0;  // a change in row 0: the column begins inside
    if (first) ++i;
    if (first != inside) change_at(x * h);
    for (; i < end; ++i) change_at(x * h + rows[i]);
  }
  rle.counts.push_back(static_cast<std::uint32_t>(h * w - run));
  return rle;
}

Tensor mask_of(const Rle& rle) {
  check_size(rle.height, rle.width);
  check_sum(rle);
  const Tensor mask = zeros({rle.height, rle.width}, DType::u8);
  u8* pixels = mask.data<u8>();
  i64 at = 0;
  bool inside = false;
  for (const std::uint32_t count : rle.counts) {
    if (inside)
      for (i64 i = at; i < at + count; ++i) pixels[i % rle.height * rle.width + i / rle.height] = 255;
    at += count;
    inside = !inside;
  }
  return mask;
}

Rle shrunk(const Rle& rle, i64 height, i64 width) {
  require(height > 0 && width > 0 && height <= rle.height && width <= rle.width, "run lengths of ", rle.width,
          " x ", rle.height, " shrunk to ", width, " x ", height);
  check_sum(rle);
  const auto centre = [](i64 i, i64 from, i64 to) { return (2 * i + 1) * from / (2 * to); };
  std::vector<i64> column_of(static_cast<std::size_t>(rle.width), -1);  // the small column that samples it
  for (i64 x = 0; x < width; ++x) column_of[static_cast<std::size_t>(centre(x, rle.width, width))] = x;
  std::vector<i64> rows_before(static_cast<std::size_t>(rle.height) + 1);  // small rows that sample above
  for (i64 y = 0; y < height; ++y) ++rows_before[static_cast<std::size_t>(centre(y, rle.height, height)) + 1];
  for (std::size_t y = 1; y < rows_before.size(); ++y) rows_before[y] += rows_before[y - 1];

  const Tensor mask = zeros({height, width}, DType::u8);
  u8* pixels = mask.data<u8>();
  i64 at = 0;
  for (std::size_t i = 0; i < rle.counts.size(); at += rle.counts[i++]) {
    if (i % 2 == 0) continue;
    const i64 end = at + rle.counts[i];
    for (i64 from = at; from < end;) {  // one column of the run at a time
      const i64 x = from / rle.height, to = std::min(end, (x + 1) * rle.height);
      if (const i64 column = column_of[static_cast<std::size_t>(x)]; column >= 0)
        for (i64 y = rows_before[static_cast<std::size_t>(from - x * rle.height)];
             y < rows_before[static_cast<std::size_t>(to - x * rle.height)]; ++y)
          pixels[y * width + column] = 255;
      from = to;
    }
  }
  return rle_of(mask);
}

i64 area_of(const Rle& rle) {
  i64 area = 0;
  for (std::size_t i = 1; i < rle.counts.size(); i += 2) area += rle.counts[i];
  return area;
}

std::string compressed(const Rle& rle) {
  std::string out;
  for (std::size_t i = 0; i < rle.counts.size(); ++i) {
    i64 x = rle.counts[i];
    if (i > 2) x -= rle.counts[i - 2];
    for (bool more = true; more;) {
      i64 group = x & 31;
      x >>= 5;
      more = (group & 16) ? x != -1 : x != 0;
      if (more) group |= 32;
      out += static_cast<char>(group + 48);
    }
  }
  return out;
}

Rle rle_from_text(std::string_view text, i64 height, i64 width) {
  check_size(height, width);
  Rle rle{height, width, {}};
  for (std::size_t at = 0; at < text.size();) {
    i64 x = 0;
    int bits = 0;
    for (bool more = true; more; bits += 5) {
      require(at < text.size() && bits < 40, "run lengths: the text is cut off or damaged");
      const i64 group = static_cast<unsigned char>(text[at++]) - 48;
      require(group >= 0 && group < 64, "run lengths: the text is damaged");
      x |= (group & 31) << bits;
      more = (group & 32) != 0;
      if (!more && (group & 16)) x |= -(i64{1} << (bits + 5));
    }
    if (rle.counts.size() > 2) x += rle.counts[rle.counts.size() - 2];
    require(x >= 0 && x <= height * width, "run lengths: a run of ", x, " pixels");
    rle.counts.push_back(static_cast<std::uint32_t>(x));
  }
  check_sum(rle);
  return rle;
}

}  // namespace bp
