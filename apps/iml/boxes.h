// Boxes of images: the model that all annotation formats are read into, matching to images, checks, and boxes
// derived from masks.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/iml/files.h"
#include "engine/tensor.h"

namespace bp {

// Corners in pixels of the image as it is seen (orientation applied): x to the right, y down, the edges of
// pixel i at i and i + 1. A BoxSet of YOLO files holds fractions of the width and height instead.
struct Box {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  std::string label;
};

// What a file says of one image; no boxes: authentic. Nothing in it has been checked yet.
struct ImageBoxes {
  std::string image;          // as the file names it, '/' between parts; YOLO files know the stem only
  std::string source;         // the annotation file, for messages
  i64 width = 0, height = 0;  // as the file says; 0 where it does not
  std::vector<Box> boxes;
};

enum class BoxFormat : std::uint8_t { coco, labelme, yolo, cvat, via_json, via_csv, csv };
const char* name_of(BoxFormat format);

struct BoxSet {
  std::string source;  // the file or folder that was read
  BoxFormat format = BoxFormat::csv;
  std::vector<ImageBoxes>
      images;  // one entry per image, in the order of the file (sorted by name for folders)
};

// Reads a file (COCO json, LabelMe json, VIA json or csv, CVAT xml, YOLO txt, plain csv) or a folder of
// LabelMe json or YOLO txt files, descending into subfolders; the content tells which. docs/formats.md says
// what is understood of each. Throws Error with the file, and the line or entry, where it is not understood.
BoxSet load_boxes(const fs::path& path);

// Which entry belongs to which image: the same relative path, else the same file name, else the same stem.
struct BoxMatches {
  std::vector<const ImageBoxes*>
      entries;  // one per image; null where there is none or the choice is ambiguous
  std::vector<std::string> without_boxes;  // keys of images that no entry names
  std::vector<std::string> missing;        // entries whose image was not found
  std::vector<std::string> ambiguous;      // "a.jpg: x/a.jpg, y/a.jpg"
};
BoxMatches match_boxes(const BoxSet& set, std::span<const ImageFile> images);

// The boxes of an entry in pixels of its image of the size given, clipped to it. Throws Error naming the
// file, the image and the box where a box has a coordinate that is no number, is inverted, empty or wholly
// outside, and where the file was made for another image size. What was clipped is told in `notes`.
std::vector<Box> boxes_in_image(const BoxSet& set, const ImageBoxes& entry, i64 width, i64 height,
                                std::vector<std::string>& notes);

struct MaskBoxOptions {
  double min_share = 0.0005;  // smaller regions, as a share of the image's area, are dropped (but never all)
  bool merge = false;         // one box around all regions
  double jitter = 0;          // in [0, 0.5)
  std::uint64_t seed = 0;
};

// A tight box around each 8-connected region of a mask [H,W], largest region first; none for an empty mask.
// With jitter j, each of the four coordinates moves by its own uniform number in [-j, j] times the box's
// width or height and is clipped to the image. The numbers depend on seed, `image_name` and the box's index
// only.
std::vector<Box> boxes_from_mask(const Tensor& mask, const MaskBoxOptions& options,
                                 std::string_view image_name);

}  // namespace bp
