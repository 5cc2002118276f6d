// Boxes around the regions of a mask, with jitter for studies of box quality.
#include <algorithm>
#include <numeric>

#include "apps/iml/boxes.h"
#include "engine/error.h"
#include "engine/rng.h"

namespace bp {
namespace {

struct Region {
  i64 x0, y0, x1, y1, area;
};

void absorb(Region& a, const Region& b) {
  a = {std::min(a.x0, b.x0), std::min(a.y0, b.y0), std::max(a.x1, b.x1), std::max(a.y1, b.y1),
       a.area + b.area};
}

// Connected regions, 8 neighbours: the runs of a row join what they touch in the row above (union-find).
class Regions {
 public:
  explicit Regions(const Tensor& mask) {
    const i64 height = mask.dim(0), width = mask.dim(1);
    std::vector<Run> above, row;
    for (i64 y = 0; y < height; ++y) {
      const u8* m = mask.data<u8>() + y * width;
      row.clear();
      std::size_t next = 0;  // first run above that can still touch
      for (i64 x = 0; x < width; ++x) {
        if (!m[x]) continue;
        const i64 begin = x;
        while (x < width && m[x]) ++x;
        while (next < above.size() && above[next].end < begin) ++next;
        const Region pixels{begin, y, x, y + 1, x - begin};
        const bool touches = next < above.size() && above[next].begin <= x;
        const std::size_t region = touches ? root(above[next].region) : add(pixels);
        if (touches) absorb(regions_[region], pixels);
        for (std::size_t i = next; i < above.size() && above[i].begin <= x; ++i)
          unite(region, above[i].region);
        row.push_back({begin, x, region});
      }
      above.swap(row);
    }
  }

  std::vector<Region> result() const {
    std::vector<Region> roots;
    for (std::size_t i = 0; i < regions_.size(); ++i)
      if (parent_[i] == i) roots.push_back(regions_[i]);
    return roots;
  }

 private:
  struct Run {
    i64 begin, end;  // pixels [begin, end)
    std::size_t region;
  };
  std::size_t add(const Region& region) {
    regions_.push_back(region);
    parent_.push_back(parent_.size());
    return parent_.size() - 1;
  }
  std::size_t root(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void unite(std::size_t a, std::size_t b) {
    a = root(a);
    b = root(b);
    if (a == b) return;
    absorb(regions_[std::min(a, b)], regions_[std::max(a, b)]);
    parent_[std::max(a, b)] = std::min(a, b);
  }

  std::vector<Region> regions_;
  std::vector<std::size_t> parent_;
};

std::uint64_t fnv(std::string_view s) {
  std::uint64_t key = 0xCBF29CE484222325u;
  for (const unsigned char c : s) key = (key ^ c) * 0x100000001B3u;
  return key;
}

}  // namespace

std::vector<Box> boxes_from_mask(const Tensor& mask, const MaskBoxOptions& options,
                                 std::string_view image_name) {
  require(mask.defined() && mask.rank() == 2 && mask.dtype() == DType::u8,
          "boxes_from_mask: wanted a u8 mask [H,W]");
  require(options.jitter >= 0 && options.jitter < 0.5, "boxes_from_mask: jitter ", options.jitter,
          ", wanted [0, 0.5)");
  std::vector<Region> regions = Regions(mask).result();
  std::sort(regions.begin(), regions.end(), [](const Region& a, const Region& b) {
    return a.area != b.area ? a.area > b.area : a.y0 != b.y0 ? a.y0 < b.y0 : a.x0 < b.x0;
  });
  const double least = options.min_share * static_cast<double>(mask.numel());
  while (regions.size() > 1 && static_cast<double>(regions.back().area) < least) regions.pop_back();
  if (options.merge && !regions.empty()) {
    for (std::size_t i = 1; i < regions.size(); ++i) absorb(regions[0], regions[i]);
    regions.resize(1);
  }
  const auto width = static_cast<double>(mask.dim(1)), height = static_cast<double>(mask.dim(0));
  const std::uint64_t name = fnv(image_name);
  std::vector<Box> boxes;
  for (const Region& r : regions) {
    const PhiloxCounter bits =
        philox({static_cast<std::uint32_t>(boxes.size()), 0, static_cast<std::uint32_t>(name),
                static_cast<std::uint32_t>(name >> 32)},
               philox_key(options.seed));
    const auto w = static_cast<double>(r.x1 - r.x0), h = static_cast<double>(r.y1 - r.y0);
    const auto moved = [&](i64 at, std::size_t i, double side, double limit) {
      return std::clamp(static_cast<double>(at) + (2 * uniform(bits[i]) - 1) * options.jitter * side, 0.0,
                        limit);
    };
    boxes.push_back({moved(r.x0, 0, w, width),
                     moved(r.y0, 1, h, height),
                     moved(r.x1, 2, w, width),
                     moved(r.y1, 3, h, height),
                     {}});
  }
  return boxes;
}

}  // namespace bp
