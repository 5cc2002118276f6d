// From images and boxes to a folder of pseudo masks, resumable at any point.
//
// OUT/masks/KEY.png    255 inside any of the image's masks
// OUT/soft/KEY.png     the largest probability of the image's masks, 8 bit (with `soft`)
// OUT/preview/KEY.png  overlay with boxes and predicted IoU (with `preview`)
// OUT/teach.jsonl      one record per box; an image's records are written after its pictures
// OUT/settings.json    what the masks were made with; a second run with other settings is refused
//
// KEY is the image's key without its extension.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/iml/files.h"
#include "apps/iml/teacher.h"

namespace bp {

// What is known of one image before it is opened.
struct Task {
  ImageFile image;
  // Changes when the image's annotation does; a second run then does the image again.
  std::string annotation;
  // The boxes, checked, in pixels of an image of that size; none for an authentic image. What is worth
  // telling the user is added to notes. Throws Error.
  std::function<std::vector<Box>(i64 width, i64 height, std::vector<std::string>& notes)> boxes;
};

struct TeachOptions {
  std::filesystem::path out;
  bool soft = false, preview = false;
  bool force = false;                           // begin anew, whatever OUT holds
  std::map<std::string, std::string> settings;  // kept in settings.json and compared
};

struct TeachReport {
  std::size_t done = 0, skipped = 0, boxes = 0;
  std::vector<std::string> failed;  // "a.jpg: why"
  bool interrupted = false;
};

// Runs the teacher over the tasks. An image that fails is reported and the others are done. `stop` is asked
// before each image. Progress goes to stderr. Throws Error where OUT cannot be used.
TeachReport teach(const std::vector<Task>& tasks, Teacher& teacher, const TeachOptions& options,
                  const std::function<bool()>& stop);

// IoU with true masks, of the pseudo masks and of the bare boxes (each united per image).
struct Score {
  struct Row {
    std::string image;
    double teacher = 0, box = 0;
  };
  std::vector<Row> rows;
  double teacher_mean = 0, teacher_median = 0, box_mean = 0, box_median = 0;
  std::vector<std::string> not_scored;  // "a.jpg: why"
};

// Of the images of `tasks` that OUT holds records of, authentic ones left out. True masks are paired by
// pair_masks().
Score score(const std::vector<Task>& tasks, const std::filesystem::path& out,
            const std::filesystem::path& truth);

}  // namespace bp
