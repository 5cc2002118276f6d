// Data sets of manipulated images as they lie on disk: which image has which mask, and how to read it.
#pragma once
#include <string>
#include <vector>

#include "apps/iml/files.h"
#include "apps/iml/rle.h"
#include "engine/tensor.h"

namespace bp {

// Which pixels of a mask file are tampered; the levels are the mean of the three channels.
enum class MaskCode : u8 {
  white,      // above 127
  black,      // at most 127: NIST16 and DSO-1
  not_black,  // above 10: Korus, whose masks have three levels
  runs,       // none: Sample::runs hold the mask
  green  // green is the largest channel: Columbia's edge masks. Red and green, each bright along the border
         // and darker elsewhere, are the two cameras, and green is what was spliced in; a third colour, blue,
         // is the band between them.
};

struct Sample {
  fs::path image;   // empty in a folder of masks alone
  fs::path mask;    // empty: authentic
  std::string key;  // the image's path relative to the set, or the mask's stem
  MaskCode code = MaskCode::white;
  std::vector<Rle> runs = {};  // of MaskCode::runs: what is inside any of them; `mask` is their file

  bool authentic() const { return mask.empty(); }
};

struct Dataset {
  std::string name;    // of the folder or list, or as {name: path} says
  std::string layout;  // what was recognised: "Tp/Gt", "CASIA v1", ...
  std::vector<Sample> samples;
  std::vector<std::string> unpaired;  // one line each: images left out, masks of no image
};

// Recognises by content, letter case aside (docs/formats.md has the table):
//   folders  Tp Gt [Au] (CASIA v2, too) | Sp groundtruth [Au] | 4cam_splc [4cam_auth] edgemask | image mask
//   (COVERAGE) |
//            probe reference (NIST16) | *_orig.* and *_mask.* (IMD2020) | DSO-1 and its masks |
//            tampered-realistic ground-truth [pristine], also once per camera (Korus) | fake mask [real]
//            (CocoGlide) | images: masks alone
//   files    [[image, mask or "Negative"], ...], COCO json with run lengths, and {name: any of these, ...};
//            paths are relative to the file
// Throws Error where it is none of these or holds no sample. Images and masks are opened later, by load_image
// and load_truth.
std::vector<Dataset> open_datasets(const fs::path& path);

// The sample's mask, 255 where tampered; of an authentic one there is none to load (Error).
Tensor load_truth(const Sample& sample);

}  // namespace bp
