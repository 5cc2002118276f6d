// What a person drew on one image, and how it travels between the page and the server.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "apps/iml/image.h"

namespace bp::annotate {

using Json = nlohmann::json;

// A request that cannot be done, with the status of its answer.
class Refusal : public std::runtime_error {
 public:
  Refusal(int answer, const std::string& why) : std::runtime_error(why), status(answer) {}
  const int status;
};

// Coordinates are pixels of the image as it is seen, as those of Box (apps/iml/boxes.h).
struct PromptPoint {
  double x = 0, y = 0;
  bool positive = true;
  auto operator<=>(const PromptPoint&) const = default;
};
struct Prompt {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  std::vector<PromptPoint> points;
  auto operator<=>(const Prompt&) const = default;
};

struct DrawnBox {
  Prompt prompt;
  std::optional<int> choice;  // 0 to 2: of SAM's three masks; none: the single mask
  std::optional<double> iou;  // predicted
  std::string mask;           // run lengths at the image's size, compressed (apps/iml/rle.h); empty: none
  i64 area = 0;               // pixels of the mask

  bool same_prompt(const DrawnBox& other) const { return prompt == other.prompt && choice == other.choice; }
};

struct Annotation {
  i64 version = 0;  // grows by one with every save
  bool authentic = false;
  double seconds = 0;  // that a person spent on it
  std::vector<DrawnBox> boxes;

  bool open() const { return !authentic && boxes.empty(); }
};

// The prompt of {"box", "points"}; of a PUT's body the annotation, without masks. What reaches out of the
// image is clipped to it. They throw Refusal (400) where the JSON is not what it should be.
Prompt parse_prompt(const Json& json, const ImageSize& size);
Annotation parse_annotation(const Json& json, const ImageSize& size);

// {"box", "points", "choice", "iou"}
Json to_json(const DrawnBox& box);

}  // namespace bp::annotate
