// Boxes meet images: which entry belongs to which image, and whether its boxes fit.
#include <algorithm>
#include <cmath>
#include <map>

#include "apps/iml/boxes.h"
#include "engine/error.h"

namespace bp {
namespace {

// How many folders two paths share, counted from the file upwards.
int shared_folders(const fs::path& a, const fs::path& b) {
  const fs::path pa = a.parent_path(), pb = b.parent_path();
  int n = 0;
  for (auto i = pa.end(), j = pb.end(); i != pa.begin() && j != pb.begin() && *--i == *--j;) ++n;
  return n;
}

std::string stem_of(const ImageBoxes& entry, BoxFormat format) {
  const fs::path name(entry.image);
  return (format == BoxFormat::yolo ? name.filename() : name.stem())
      .string();  // YOLO's is a stem, with dots perhaps
}

// The same path beats the same file name, which beats the same stem; then more shared folders win.
int closeness(const ImageBoxes& entry, BoxFormat format, const std::string& key) {
  const fs::path a(entry.image), b(key);
  const int shared = std::min(999, shared_folders(a, b));
  if (entry.image == key) return 3000 + shared;
  if (a.filename() == b.filename()) return 2000 + shared;
  return stem_of(entry, format) == b.stem().string() ? 1000 + shared : 0;
}

}  // namespace

BoxMatches match_boxes(const BoxSet& set, std::span<const ImageFile> images) {
  // Paths and file names that are equal have equal stems, so candidates are found by stem.
  std::multimap<std::string, std::size_t> by_stem;
  for (std::size_t e = 0; e < set.images.size(); ++e) by_stem.emplace(stem_of(set.images[e], set.format), e);

  BoxMatches matches;
  matches.entries.resize(images.size());
  std::vector<int> closest(set.images.size());  // over all images
  std::vector<std::vector<std::size_t>> chosen_by(
      set.images.size());  // the images that come as close as that
  std::vector<bool> named(set.images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    int best = 0;
    std::vector<std::size_t> found;
    for (auto [it, end] = by_stem.equal_range(fs::path(images[i].key).stem().string()); it != end; ++it) {
      const int score = closeness(set.images[it->second], set.format, images[i].key);
      if (score > best) found.clear();
      if (score >= best && score > 0) found.push_back(it->second);
      best = std::max(best, score);
    }
    if (found.size() > 1) {
      std::string names;
      for (const std::size_t e : found) names += (names.empty() ? "" : ", ") + set.images[e].image;
      matches.ambiguous.push_back(images[i].key + ": " + names);
      for (const std::size_t e : found) named[e] = true;
    } else if (found.size() == 1) {
      const std::size_t e = found[0];
      named[e] = true;
      if (best > closest[e]) chosen_by[e].clear();
      if (best >= closest[e]) chosen_by[e].push_back(i);
      closest[e] = std::max(closest[e], best);
    }
  }
  std::vector<bool> ambiguous(images.size());
  for (std::size_t e = 0; e < set.images.size(); ++e) {
    if (chosen_by[e].size() == 1) matches.entries[chosen_by[e][0]] = &set.images[e];
    if (chosen_by[e].size() > 1) {
      std::string names;
      for (const std::size_t i : chosen_by[e]) names += (names.empty() ? "" : ", ") + images[i].key;
      matches.ambiguous.push_back(set.images[e].image + ": " + names);
      for (const std::size_t i : chosen_by[e]) ambiguous[i] = true;
    }
    if (!named[e]) matches.missing.push_back(set.images[e].image);
  }
  for (std::size_t i = 0; i < images.size(); ++i)
    if (!matches.entries[i] && !ambiguous[i]) matches.without_boxes.push_back(images[i].key);
  return matches;
}

std::vector<Box> boxes_in_image(const BoxSet& set, const ImageBoxes& entry, i64 width, i64 height,
                                std::vector<std::string>& notes) {
  const auto w = static_cast<double>(width), h = static_cast<double>(height);
  const std::string place = entry.source + ": " + entry.image;
  require((entry.width <= 0 || entry.width == width) && (entry.height <= 0 || entry.height == height), place,
          " was annotated at ", entry.width, " x ", entry.height, ", the image is ", width, " x ", height,
          entry.width == height && entry.height == width ? " (turned by its EXIF orientation?)" : "");
  std::vector<Box> boxes;
  for (Box box : entry.boxes) {
    const double sx = set.format == BoxFormat::yolo ? w : 1, sy = set.format == BoxFormat::yolo ? h : 1;
    box.x0 *= sx;
    box.x1 *= sx;
    box.y0 *= sy;
    box.y1 *= sy;
    const std::string what =
        text(place, ", box ", boxes.size() + 1, " (", box.x0, ",", box.y0, ",", box.x1, ",", box.y1, ")");
    require(std::isfinite(box.x0) && std::isfinite(box.y0) && std::isfinite(box.x1) && std::isfinite(box.y1),
            what, ": a coordinate is not a number");
    require(box.x0 <= box.x1 && box.y0 <= box.y1, what, ": inverted, wanted x0 < x1 and y0 < y1");
    require(box.x0 < box.x1 && box.y0 < box.y1, what, ": empty");
    require(box.x0 < w && box.x1 > 0 && box.y0 < h && box.y1 > 0, what, ": wholly outside the image of ",
            width, " x ", height);
    const double outside = std::max({-box.x0, -box.y0, box.x1 - w, box.y1 - h});
    if (outside > 0.5) notes.push_back(text(what, ": clipped to the image of ", width, " x ", height));
    box.x0 = std::max(box.x0, 0.0);
    box.y0 = std::max(box.y0, 0.0);
    box.x1 = std::min(box.x1, w);
    box.y1 = std::min(box.y1, h);
    boxes.push_back(std::move(box));
  }
  return boxes;
}

}  // namespace bp
