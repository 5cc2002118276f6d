// Boxes to files: the writers of the formats that load_boxes reads (docs/formats.md).
#pragma once
#include <map>

#include "apps/iml/boxes.h"

namespace bp {

// "coco", "labelme", "yolo", "cvat", "via", "via-csv", "csv".
const std::map<std::string, BoxFormat>& box_formats();

// LabelMe and YOLO are folders with a file per image; the others are one file.
bool is_folder_format(BoxFormat format);

// Writes boxes in pixels (a set of YOLO's fractions is an Error) so that load_boxes gives them back; images
// without boxes are written too: they are authentic. Files appear whole or not at all; folders are made where
// they are missing. Throws Error where YOLO is wanted and an image's size is not known, where a box is no
// box, and where two images would share a file.
void save_boxes(const BoxSet& set, BoxFormat format, const fs::path& out);

}  // namespace bp
