// The student over images: a folder of masks, maps, heat maps and records, resumable at any point.
//
// OUT/masks/KEY.png   255 where the probability is above the threshold
// OUT/soft/KEY.png    the probability times 255
// OUT/heat/KEY.png    the image, grey, under its map as colours
// OUT/locate.jsonl    one record per image, written after its pictures
// OUT/settings.json   what they were made with; a second run with other settings is refused
//
// KEY is the image's key without its extension.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/iml/files.h"
#include "apps/iml/localizer.h"

namespace bp {

struct LocateOptions {
  fs::path out;
  bool mask = true, soft = true, heat = true;  // which pictures
  bool force = false;                          // begin anew, whatever OUT holds
  double threshold = 0.5;
  i64 batch = 8;  // images that are in memory and run together
  std::optional<Tiling> tiling;
  std::map<std::string, std::string> settings;  // kept in settings.json and compared
};

struct LocateReport {
  std::size_t done = 0, skipped = 0;
  std::vector<std::string> records;  // of the images that are done now, in their order: JSON objects
  std::vector<std::string> failed;   // "a.jpg: why"
  bool interrupted = false;
};

// An image that fails is reported and the others are done. `stop` is asked before each batch. Progress goes
// to stderr. Throws Error where OUT cannot be used, and where the net gives no numbers.
LocateReport locate(const std::vector<ImageFile>& images, const Localizer& localizer,
                    const LocateOptions& options, const std::function<bool()>& stop);

}  // namespace bp
