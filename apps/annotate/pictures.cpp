#include "apps/annotate/pictures.h"

#include <algorithm>
#include <sys/stat.h>

#include "apps/iml/jpeg.h"
#include "engine/error.h"
#include "engine/ops.h"
#include "kernels/threads.h"

namespace bp::annotate {
namespace {

constexpr std::size_t kDecodedBytes = std::size_t{512} << 20, kJpegBytes = std::size_t{128} << 20;

}  // namespace

Pictures::Pictures(std::vector<ImageFile> images)
    : images_(std::move(images)), sizes_(images_.size()), decoded_(kDecodedBytes), jpegs_(kJpegBytes) {}

ImageSize Pictures::size(std::size_t i) {
  {
    const std::lock_guard lock(mutex_);
    if (sizes_.at(i).width > 0) return sizes_[i];
  }
  const ImageSize found = image_size(images_[i].path);
  const std::lock_guard lock(mutex_);
  return sizes_[i] = found;
}

Tensor Pictures::image(std::size_t i) {
  if (const auto known = decoded_.get(i)) return *known;
  Tensor image = load_image(images_.at(i).path);
  decoded_.put(i, image, static_cast<std::size_t>(image.numel()));
  return image;
}

std::shared_ptr<const std::string> Pictures::jpeg(std::size_t i, i64 side) {
  side = std::clamp<i64>(side, 16, kLargest);
  const std::pair key{i, side};
  if (const auto known = jpegs_.get(key)) return *known;
  const std::lock_guard turn(side <= kThumbnail ? thumbnail_turn_ : picture_turn_);
  if (const auto known = jpegs_.get(key)) return *known;  // while it waited
  const Urgent somebody_waits;
  Tensor scaled = image(i);
  const i64 h = scaled.dim(0), w = scaled.dim(1), longest = std::max(h, w);
  if (longest > side) {
    const auto to = [&](i64 v) { return std::max<i64>(1, (v * side + longest / 2) / longest); };
    scaled = resize_pil(scaled, to(h), to(w));
  }
  auto bytes = std::make_shared<const std::string>(encode_jpeg(
      scaled, side <= kThumbnail ? 80 : 92, side <= kThumbnail ? Subsampling::s420 : Subsampling::s444));
  jpegs_.put(key, bytes, bytes->size());
  return bytes;
}

std::string Pictures::tag(std::size_t i) const {
  struct stat s {};
  if (::stat(images_.at(i).path.c_str(), &s) != 0) return "gone";
  return text(std::hash<std::string>()(images_[i].path.string()), "-", s.st_size, "-", s.st_mtim.tv_sec, ".",
              s.st_mtim.tv_nsec);
}

}  // namespace bp::annotate
