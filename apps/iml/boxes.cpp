#include "apps/iml/boxes.h"

#include <algorithm>

#include "apps/iml/boxes_parse.h"
#include "engine/error.h"

namespace bp {
namespace {

using namespace detail;

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{1} << 29;

BoxSet parse_any_json(const std::string& source, std::string_view text) {
  const Json json = parse_json(source, text);
  if (json.is_object()) {
    if (json.contains("annotations") && json.contains("images")) return parse_coco(source, json);
    if (json.contains("shapes")) return parse_labelme(source, json);
    const bool via = !json.empty() && json.begin()->is_object() && json.begin()->contains("regions");
    if (via || json.contains("_via_img_metadata")) return parse_via_json(source, json);
  }
  fail(source, ": neither COCO (images, annotations) nor LabelMe (shapes) nor VIA (regions) json");
}

BoxSet parse_any(const fs::path& path, std::string_view text) {
  const std::string source = path.string();
  const std::size_t first = text.find_first_not_of(" \t\r\n", text.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  const bool blank = first == text.npos;
  if (!blank && (text[first] == '{' || text[first] == '[')) return parse_any_json(source, text);
  if (!blank && text[first] == '<') return parse_cvat(source, text);
  require(text.find('\0') == text.npos, source, ": not a text file, wanted boxes");
  const bool commas = !blank && text.substr(first, text.find('\n', first) - first).find(',') != text.npos;
  if (path.extension() == ".txt" && !commas) return parse_yolo(source, text, path.stem().string());
  require(!blank, source, ": the file is empty");
  return parse_csv(source, text);
}

BoxSet load_file(const fs::path& path) {
  const std::string bytes = read_file(path, kMaxFileBytes);
  try {
    return parse_any(path, bytes);
  } catch (const Json::exception& e) {  // a member of another type than the format has there
    fail(path.string(), ": ", one_line(e.what()));
  } catch (const Error& e) {
    fail(one_line(e.what()));
  }
}

// LabelMe and YOLO: a file per image. Names in the files are relative to their own folder.
BoxSet load_folder(const fs::path& folder) {
  std::vector<fs::path> json, txt;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".json") json.push_back(it->path());
    if (it->path().extension() == ".txt" && it->path().filename() != "classes.txt") txt.push_back(it->path());
  }
  require(!error, folder.string(), ": cannot list the folder (", error.message(), ")");
  require(json.empty() || txt.empty(), folder.string(), ": holds ", json.size(), " json and ", txt.size(),
          " txt files, wanted LabelMe json or YOLO txt alone");
  std::vector<fs::path>& files = json.empty() ? txt : json;
  require(!files.empty(), folder.string(), ": no LabelMe json or YOLO txt files in it");
  std::sort(files.begin(), files.end());
  BoxSet set{folder.string(), json.empty() ? BoxFormat::yolo : BoxFormat::labelme, {}};
  for (const fs::path& file : files) {
    const fs::path below = file.lexically_relative(folder).parent_path();
    BoxSet one = load_file(file);
    require(one.format == set.format, file.string(), ": is ", name_of(one.format), ", wanted ",
            name_of(set.format), " in a folder");
    for (ImageBoxes& entry : one.images) {
      entry.image = (below / entry.image).generic_string();
      set.images.push_back(std::move(entry));
    }
  }
  return set;
}

}  // namespace

const char* name_of(BoxFormat format) {
  switch (format) {
    case BoxFormat::coco:
      return "COCO json";
    case BoxFormat::labelme:
      return "LabelMe json";
    case BoxFormat::yolo:
      return "YOLO txt";
    case BoxFormat::cvat:
      return "CVAT xml";
    case BoxFormat::via_json:
      return "VIA json";
    case BoxFormat::via_csv:
      return "VIA csv";
    case BoxFormat::csv:
      return "plain csv";
  }
  return "?";
}

BoxSet load_boxes(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return load_folder(path);
  return load_file(path);
}

}  // namespace bp
