// The record of one box, or of one authentic image, in teach.jsonl (docs/formats.md).
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "apps/iml/boxes.h"

namespace bp {

struct Record {
  std::string image;             // key of the image
  std::string annotation;        // identifies the annotation that the mask was made from
  int box_index = 0, boxes = 0;  // which box of how many; boxes 0, and no box, for an authentic image
  Box box{};                     // pixels
  double predicted_iou = 0, stability = 0;
  i64 area = 0;        // pixels
  double seconds = 0;  // decoder's time for this box; for an authentic image 0
};

std::string to_line(const Record& record);  // with its newline

// The records of all images that are complete in the file, the latest run's where an image was done again. A
// missing file has none; what a kill left half-written is passed over.
std::map<std::string, std::vector<Record>> read_records(const std::filesystem::path& jsonl);

}  // namespace bp
