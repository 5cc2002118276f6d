// The images of the folder as the page wants them: sizes, and JPEGs of any scale. What was made stays in
// memory within a limit. All members may be called from any thread.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/annotate/lru.h"
#include "apps/iml/files.h"
#include "apps/iml/image.h"

namespace bp::annotate {

class Pictures {
 public:
  static constexpr i64 kThumbnail = 160, kLargest = 16384;  // pixels of the longest side

  explicit Pictures(std::vector<ImageFile> images);

  std::size_t count() const { return images_.size(); }
  const ImageFile& file(std::size_t i) const { return images_.at(i); }
  // From the header, once. Throws Error where the image cannot be read.
  ImageSize size(std::size_t i);
  Tensor image(std::size_t i);  // u8 [H,W,3]
  // No longer than `side` on its longest side, never enlarged.
  std::shared_ptr<const std::string> jpeg(std::size_t i, i64 side);
  // Changes with the file: of its size and time.
  std::string tag(std::size_t i) const;

 private:
  const std::vector<ImageFile> images_;
  std::mutex mutex_;  // of the sizes
  std::vector<ImageSize> sizes_;
  Lru<std::size_t, Tensor> decoded_;
  Lru<std::pair<std::size_t, i64>, std::shared_ptr<const std::string>> jpegs_;
  // One large picture and one thumbnail are made at a time: each may hold 750 MB while it is decoded, and a
  // strip full of thumbnails must not delay the picture that is looked at.
  std::mutex picture_turn_, thumbnail_turn_;
};

}  // namespace bp::annotate
