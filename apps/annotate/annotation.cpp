#include "apps/annotate/annotation.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"

namespace bp::annotate {
namespace {

constexpr std::size_t kMostBoxes = 1000, kMostPoints = 1000;  // of an image, of a box
constexpr double kMostSeconds = 1e8;

template <class... Args>
void want(bool condition, const Args&... args) {
  if (!condition) throw Refusal(400, text(args...));
}

const Json& member(const Json& json, const char* name) {
  want(json.is_object() && json.contains(name), "\"", name, "\" is missing");
  return json[name];
}

double number(const Json& json, const char* what) {
  want(json.is_number() && std::isfinite(json.get<double>()), what, " is not a number");
  return json.get<double>();
}

}  // namespace

Prompt parse_prompt(const Json& json, const ImageSize& size) {
  const auto w = static_cast<double>(size.width), h = static_cast<double>(size.height);
  const Json& box = member(json, "box");
  want(box.is_array() && box.size() == 4, "\"box\" is not [x0, y0, x1, y1]");
  Prompt p;
  p.x0 = std::clamp(number(box[0], "x0"), 0.0, w);
  p.y0 = std::clamp(number(box[1], "y0"), 0.0, h);
  p.x1 = std::clamp(number(box[2], "x1"), 0.0, w);
  p.y1 = std::clamp(number(box[3], "y1"), 0.0, h);
  want(p.x0 < p.x1 && p.y0 < p.y1, "\"box\" is inverted, empty or outside the image of ", size.width, " x ",
       size.height);
  if (!json.contains("points") || json["points"].is_null()) return p;
  const Json& points = json["points"];
  want(points.is_array() && points.size() <= kMostPoints, "\"points\" is not a list of at most ",
       kMostPoints);
  for (const Json& point : points) {
    const Json& positive = member(point, "positive");
    want(positive.is_boolean(), "\"positive\" is neither true nor false");
    p.points.push_back({std::clamp(number(member(point, "x"), "x"), 0.0, w),
                        std::clamp(number(member(point, "y"), "y"), 0.0, h), positive.get<bool>()});
  }
  return p;
}

Annotation parse_annotation(const Json& json, const ImageSize& size) {
  Annotation a;
  const Json& version = member(json, "version");
  want(version.is_number_integer(), "\"version\" is not an integer");
  a.version = version.get<i64>();
  const Json& authentic = member(json, "authentic");
  want(authentic.is_boolean(), "\"authentic\" is neither true nor false");
  a.authentic = authentic.get<bool>();
  a.seconds = number(member(json, "seconds"), "\"seconds\"");
  want(a.seconds >= 0 && a.seconds <= kMostSeconds, "\"seconds\" is ", a.seconds);
  const Json& boxes = member(json, "boxes");
  want(boxes.is_array() && boxes.size() <= kMostBoxes, "\"boxes\" is not a list of at most ", kMostBoxes);
  want(!a.authentic || boxes.empty(), "an authentic image has no boxes");
  for (const Json& box : boxes) {
    DrawnBox drawn{parse_prompt(box, size), {}, {}, {}, 0};
    if (box.contains("choice") && !box["choice"].is_null()) {
      const Json& choice = box["choice"];
      want(choice.is_number_integer() && choice.get<i64>() >= 0 && choice.get<i64>() <= 2,
           "\"choice\" is neither null nor 0, 1 or 2");
      drawn.choice = choice.get<int>();
    }
    if (box.contains("iou") && !box["iou"].is_null()) drawn.iou = number(box["iou"], "\"iou\"");
    a.boxes.push_back(std::move(drawn));
  }
  return a;
}

Json to_json(const DrawnBox& box) {
  const Prompt& p = box.prompt;
  Json points = Json::array();
  for (const PromptPoint& point : p.points)
    points.push_back({{"x", point.x}, {"y", point.y}, {"positive", point.positive}});
  return {{"box", {p.x0, p.y0, p.x1, p.y1}},
          {"points", std::move(points)},
          {"choice", box.choice ? Json(*box.choice) : Json()},
          {"iou", box.iou ? Json(*box.iou) : Json()}};
}

}  // namespace bp::annotate
