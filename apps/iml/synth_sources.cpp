#include "apps/iml/synth_sources.h"

#include <algorithm>

#include "apps/iml/filters.h"
#include "apps/iml/image.h"
#include "engine/error.h"

namespace bp {
namespace {

constexpr i64 kLeastSide = 64;  // of a photograph
constexpr i64 kHalveAbove = 1024;

std::size_t bytes_of(const std::vector<Tensor>& levels) {
  std::size_t sum = 0;
  for (const Tensor& t : levels) sum += static_cast<std::size_t>(t.numel());
  return sum;
}

}  // namespace

SourceStore::SourceStore(std::vector<ImageFile> files, std::size_t budget_bytes, Load load)
    : budget_(budget_bytes), load_(std::move(load)) {
  for (ImageFile& file : files) {
    entries_.push_back(std::make_unique<Entry>());
    entries_.back()->file = std::move(file);
  }
}

Source SourceStore::take(std::size_t index) {
  Source source;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (hold(*entries_[(index + i) % entries_.size()], source)) return source;
  const std::lock_guard lock(mutex_);
  fail("synth: none of the ", entries_.size(),
       " pictures can be used; the first: ", entries_.empty() ? "none given" : entries_.front()->problem);
}

bool SourceStore::hold(Entry& entry, Source& source) {
  const std::lock_guard one_decodes(entry.loading);
  {
    const std::lock_guard lock(mutex_);
    if (!entry.problem.empty()) return false;
    entry.used = ++clock_;
    source = {entry.file.key, entry.levels};
    if (!source.levels.empty()) return true;
  }
  try {
    source.levels.push_back(load_(entry.file.path));
    while (std::max(source.levels.back().dim(0), source.levels.back().dim(1)) > kHalveAbove) {
      const Tensor& last = source.levels.back();
      source.levels.push_back(resize_smooth(last, (last.dim(0) + 1) / 2, (last.dim(1) + 1) / 2));
    }
  } catch (const Error& e) {
    const std::lock_guard lock(mutex_);
    entry.problem = e.what();
    return false;
  }
  const std::lock_guard lock(mutex_);
  entry.levels = source.levels;
  bytes_ += bytes_of(entry.levels);
  make_room();
  return true;
}

// Forgets what was not asked for the longest; whoever works with it keeps its tensors alive.
void SourceStore::make_room() {
  while (bytes_ > budget_) {
    Entry* oldest = nullptr;
    for (const auto& e : entries_)
      if (!e->levels.empty() && (!oldest || e->used < oldest->used)) oldest = e.get();
    bytes_ -= bytes_of(oldest->levels);
    oldest->levels.clear();
  }
}

std::vector<std::string> SourceStore::unreadable() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& e : entries_)
    if (!e->problem.empty()) lines.push_back(e->problem);
  std::sort(lines.begin(), lines.end());
  return lines;
}

Tensor load_photograph(const fs::path& path) {
  Tensor image = load_image(path);
  require(image.dim(0) >= kLeastSide && image.dim(1) >= kLeastSide, path.string(), ": ", image.dim(1), "x",
          image.dim(0), " pixels, wanted at least ", kLeastSide, " a side");
  return image;
}

Tensor load_premultiplied(const fs::path& path) {
  const Cutout cutout = load_cutout(path);
  const i64 n = cutout.alpha.numel();
  Tensor rgba = empty({cutout.alpha.dim(0), cutout.alpha.dim(1), 4}, DType::u8);
  for (i64 i = 0; i < n; ++i) {
    const int alpha = cutout.alpha.data<u8>()[i];
    u8* pixel = rgba.data<u8>() + 4 * i;
    for (int c = 0; c < 3; ++c)
      pixel[c] = static_cast<u8>((cutout.rgb.data<u8>()[3 * i + c] * alpha + 127) / 255);
    pixel[3] = static_cast<u8>(alpha);
  }
  return rgba;
}

}  // namespace bp
