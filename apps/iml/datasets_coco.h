// COCO json as a data set: masks as run lengths, as `annotate` writes them.
#pragma once
#include <nlohmann/json.hpp>

#include "apps/iml/datasets.h"

namespace bp {

// Images without an annotation are authentic; those with an annotation that has no run lengths (a box alone,
// or polygons) are left out and listed. Throws Error where the file is not what COCO says.
Dataset read_coco(const fs::path& file, const nlohmann::json& json);

}  // namespace bp
