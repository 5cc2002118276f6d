#include "apps/iml/datasets.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "apps/iml/datasets_coco.h"
#include "apps/iml/image.h"
#include "apps/iml/masks.h"
#include "engine/error.h"

namespace bp {
namespace {

using Json = nlohmann::json;

std::string lower(std::string s) {
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return s;
}

// The subfolder of that (lower-case) name.
std::optional<fs::path> child(const fs::path& folder, std::string_view name) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->is_directory(error) && lower(it->path().filename().string()) == name) return it->path();
  return std::nullopt;
}

std::string stem_of(const ImageFile& image) {
  return image.path.stem().string();
}

// With the folder's place in the set before every key.
std::vector<ImageFile> keyed(std::vector<ImageFile> images, const fs::path& folder, const fs::path& root) {
  for (ImageFile& image : images)
    image.key = (folder.lexically_relative(root) / image.key).lexically_normal().generic_string();
  return images;
}

void add_authentic(Dataset& set, const std::vector<ImageFile>& images) {
  for (const ImageFile& image : images) set.samples.push_back({image.path, {}, image.key});
}

void add_authentic(Dataset& set, const fs::path& folder, const fs::path& root) {
  try {
    add_authentic(set, keyed(list_images(folder, true), folder, root));
  } catch (const Error& e) {
    set.unpaired.push_back(e.what());
  }
}

// Images, with keys relative to `folder`, and their masks. `report_lone` says which left-over masks are worth
// a line.
template <class Report>
void add_pairs(Dataset& set, const std::vector<ImageFile>& images, const fs::path& folder,
               const fs::path& root, const fs::path& masks, MaskCode code, const Report& report_lone) {
  const MaskPairs pairs = pair_masks(images, masks);
  const auto shown = keyed(images, folder, root);
  for (std::size_t i = 0; i < images.size(); ++i)
    if (!pairs.masks[i].empty()) set.samples.push_back({images[i].path, pairs.masks[i], shown[i].key, code});
  for (const auto& key : pairs.lone_images) set.unpaired.push_back(key + ": no mask in " + masks.string());
  for (const auto& line : pairs.ambiguous) set.unpaired.push_back(line + ": ambiguous in " + masks.string());
  for (const auto& mask : pairs.lone_masks)
    if (report_lone(fs::path(mask).stem().string()))
      set.unpaired.push_back((masks / mask).string() + ": a mask of no image");
}

void add_folder(Dataset& set, const fs::path& folder, const fs::path& root, const fs::path& masks,
                MaskCode code, bool recursive) {
  add_pairs(set, list_images(folder, recursive), folder, root, masks, code,
            [](const std::string&) { return true; });
}

// The layouts that are three folders: manipulated images, masks, authentic images.
struct Trio {
  const char *name, *images, *masks, *authentic;
  MaskCode code;
};
constexpr Trio kTrios[]{
    {"Tp/Gt", "tp", "gt", "au", MaskCode::white},
    {"CASIA v1", "sp", "groundtruth", "au", MaskCode::white},
    {"Korus", "tampered-realistic", "ground-truth", "pristine", MaskCode::not_black},
};

bool read_trio(Dataset& set, const fs::path& folder, const fs::path& root) {
  for (const Trio& t : kTrios) {
    const auto images = child(folder, t.images), masks = child(folder, t.masks);
    if (!images || !masks) continue;
    set.layout = t.name;
    add_folder(set, *images, root, *masks, t.code, true);
    if (const auto authentic = child(folder, t.authentic)) add_authentic(set, *authentic, root);
    return true;
  }
  return false;
}

bool read_cameras(Dataset& set, const fs::path& root) {  // Korus: a trio per camera
  std::error_code error;
  std::set<fs::path> folders;
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error))
    if (it->is_directory(error) && child(it->path(), "tampered-realistic")) folders.insert(it->path());
  for (const fs::path& camera : folders) read_trio(set, camera, root);
  return !folders.empty();
}

bool read_columbia(Dataset& set, const fs::path& root) {
  const auto spliced = child(root, "4cam_splc");
  if (!spliced) return false;
  set.layout = "Columbia";
  auto masks = child(*spliced, "edgemask");
  if (!masks) masks = child(root, "edgemask");
  require(masks.has_value(), root.string(), ": 4cam_splc, but no folder edgemask in it or beside it");
  add_pairs(set, list_images(*spliced), *spliced, root, *masks, MaskCode::green,
            [](const std::string& stem) { return !stem.ends_with("_edgemask_3"); });  // the variant with blue
  if (const auto authentic = child(root, "4cam_auth"))
    add_authentic(set, keyed(list_images(*authentic), *authentic, root));
  return true;
}

bool read_coverage(Dataset& set, const fs::path& root) {
  const auto folder = child(root, "image"), masks = child(root, "mask");
  if (!folder || !masks) return false;
  set.layout = "COVERAGE";
  std::vector<ImageFile> tampered, authentic;
  for (const ImageFile& image : list_images(*folder))
    (stem_of(image).ends_with('t') ? tampered : authentic).push_back(image);
  add_pairs(set, tampered, *folder, root, *masks,
            MaskCode::white,  // each also has a mask of the copied and the pasted part
            [](const std::string& stem) { return stem.ends_with("forged"); });
  add_authentic(set, keyed(authentic, *folder, root));
  return true;
}

bool read_dso(Dataset& set, const fs::path& root) {
  const auto folder = child(root, "dso-1"), masks = child(root, "dso-1-fake-images-masks");
  if (!folder || !masks) return false;
  set.layout = "DSO-1";
  std::vector<ImageFile> tampered, authentic;
  for (const ImageFile& image : list_images(*folder))
    (stem_of(image).starts_with("normal") ? authentic : tampered).push_back(image);
  add_pairs(set, tampered, *folder, root, *masks, MaskCode::black, [](const std::string&) { return true; });
  add_authentic(set, keyed(authentic, *folder, root));
  return true;
}

// CocoGlide's names share only COCO's number: glide_inpainting_val2017_7_up.png, mask/dog_7_mask.png,
// real/dog_7.png.
std::string last_number(const std::string& stem) {
  const std::size_t end = stem.find_last_of("0123456789");
  if (end == std::string::npos) return stem;
  const std::size_t before = stem.find_last_not_of("0123456789", end);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return stem.substr(begin, end + 1 - begin);
}

bool read_glide(Dataset& set, const fs::path& root) {
  const auto folder = child(root, "fake"), masks = child(root, "mask");
  if (!folder || !masks) return false;
  set.layout = "CocoGlide";
  std::map<std::string, std::vector<ImageFile>> by_number;
  for (ImageFile& mask : list_images(*masks))
    by_number[last_number(stem_of(mask))].push_back(std::move(mask));
  for (const ImageFile& image : keyed(list_images(*folder), *folder, root)) {
    const auto& found = by_number[last_number(stem_of(image))];
    if (found.size() == 1)
      set.samples.push_back({image.path, found[0].path, image.key});
    else
      set.unpaired.push_back(
          text(image.key, ": ", found.size(), " masks of its number in ", masks->string()));
  }
  if (const auto authentic = child(root, "real")) add_authentic(set, *authentic, root);
  return true;
}

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : line) {
    if (c == separator)
      parts.emplace_back();
    else if (c != '"' && c != '\r')
      parts.back() += c;
  }
  return parts;
}

// One reference file: lines of fields, named by the first.
void read_nist_csv(Dataset& set, const fs::path& root, const fs::path& csv, std::set<std::string>& seen) {
  const std::string bytes = read_file(csv);
  std::map<std::string, std::size_t> column;
  for (std::size_t begin = 0, number = 1; begin < bytes.size(); ++number) {
    const std::size_t end = std::min(bytes.find('\n', begin), bytes.size());
    const auto fields = split(bytes.substr(begin, end - begin), '|');
    begin = end + 1;
    if (number == 1) {
      for (std::size_t i = 0; i < fields.size(); ++i) column[fields[i]] = i;
      if (!column.contains("ProbeFileName")) return;  // some other table of the distribution
      for (const char* name : {"ProbeMaskFileName", "IsTarget"})
        require(column.contains(name), csv.string(), ": no column ", name);
      continue;
    }
    if (fields.size() == 1 && fields[0].empty()) continue;
    require(fields.size() >= column.size(), csv.string(), ": line ", number, " has ", fields.size(),
            " fields, wanted ", column.size());
    const std::string &probe = fields[column["ProbeFileName"]], &mask = fields[column["ProbeMaskFileName"]];
    const bool target = lower(fields[column["IsTarget"]]) == "y";
    if (target && mask.empty()) {
      set.unpaired.push_back(one_line(probe) + ": a target without a mask in " + csv.string());
    } else if (seen.insert(probe).second) {
      set.samples.push_back(
          {root / probe, target ? root / mask : fs::path(), relative_key(probe), MaskCode::black});
    }
  }
}

// The task "manipulation" covers the others, whose masks show a part each.
bool read_nist(Dataset& set, const fs::path& root) {
  const auto reference = child(root, "reference");
  if (!child(root, "probe") || !reference) return false;
  set.layout = "NIST16";
  std::error_code error;
  std::vector<std::pair<bool, fs::path>> tables;
  for (fs::recursive_directory_iterator it(*reference, error), end; !error && it != end; it.increment(error))
    if (lower(it->path().extension().string()) == ".csv")
      tables.emplace_back(lower(it->path().string()).find("manipulation") == std::string::npos, it->path());
  std::sort(tables.begin(), tables.end());
  std::set<std::string> seen;
  for (const auto& [other_task, csv] : tables) read_nist_csv(set, root, csv, seen);
  require(!set.samples.empty(), root.string(), ": probe and reference, but no csv in reference names probes");
  return true;
}

bool read_imd(Dataset& set, const fs::path& root) {
  std::vector<ImageFile> tampered, authentic;
  bool masks = false;
  for (const ImageFile& image : list_images(root, true)) {
    const std::string stem = lower(stem_of(image));
    if (stem.ends_with("_mask"))
      masks = true;
    else
      (stem.ends_with("_orig") ? authentic : tampered).push_back(image);
  }
  if (!masks || tampered.empty()) return false;
  set.layout = "IMD2020";
  add_pairs(set, tampered, root, root, root, MaskCode::white,
            [](const std::string& stem) { return lower(stem).ends_with("_mask"); });
  add_authentic(set, authentic);
  return true;
}

void read_masks(Dataset& set, const fs::path& root) {
  set.layout = "masks";
  for (const ImageFile& mask : list_images(root, true)) {
    fs::path key = fs::path(mask.key).replace_extension();
    for (const std::string suffix : {"_gt", "_mask", "_edgemask", "_forged"})
      if (key.filename().string().ends_with(suffix)) {
        const std::string name = key.filename().string();
        key.replace_filename(name.substr(0, name.size() - suffix.size()));
        break;
      }
    set.samples.push_back({{}, mask.path, key.generic_string(), MaskCode::white});
  }
}

Dataset read_folder(const fs::path& root) {
  Dataset set;
  const fs::path normal = fs::absolute(root).lexically_normal();
  set.name = (normal.has_filename() ? normal : normal.parent_path()).filename().string();
  if (!read_trio(set, root, root) && !read_columbia(set, root) && !read_coverage(set, root) &&
      !read_glide(set, root) && !read_nist(set, root) && !read_dso(set, root) && !read_cameras(set, root) &&
      !read_imd(set, root))
    read_masks(set, root);
  for (Sample& sample : set.samples)  // Columbia's masks keep their name and their colours in other layouts
    if (sample.mask.stem().string().ends_with("_edgemask")) sample.code = MaskCode::green;
  return set;
}

Dataset read_list(const fs::path& file, const Json& list) {
  Dataset set;
  set.name = file.stem().string();
  set.layout = "JSON list";
  std::set<std::string> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& pair = list[i];
    require(pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string(), file.string(),
            ": entry ", i, " is not [image, mask or \"Negative\"]");
    const auto image = pair[0].get<std::string>(), mask = pair[1].get<std::string>();
    const std::string key = relative_key(image);
    require(seen.insert(key).second, file.string(), ": entry ", i, " names ", one_line(key), " again");
    set.samples.push_back(
        {file.parent_path() / image, mask == "Negative" ? fs::path() : file.parent_path() / mask, key});
  }
  return set;
}

std::vector<Dataset> read_json(const fs::path& file, bool may_name_sets) {
  const Json json = Json::parse(read_file(file), nullptr, false);
  require(json.is_array() || json.is_object(), file.string(),
          ": not a JSON list [[image, mask], ...], COCO or {name: path}");
  if (json.is_array()) return {read_list(file, json)};
  if (json.contains("images") && json.contains("annotations")) return {read_coco(file, json)};
  require(may_name_sets, file.string(), ": names sets, inside a file that does");
  std::vector<Dataset> sets;
  for (const auto& [name, path] : json.items()) {
    require(path.is_string(), file.string(), ": ", one_line(name), " is not a path");
    const fs::path place = file.parent_path() / path.get<std::string>();
    std::error_code error;
    sets.push_back(fs::is_directory(place, error) ? read_folder(place) : read_json(place, false).front());
    sets.back().name = name;
  }
  return sets;
}

}  // namespace

std::vector<Dataset> open_datasets(const fs::path& path) {
  std::error_code error;
  require(fs::exists(path, error), path.string(), ": no such file or folder");
  auto sets = fs::is_directory(path, error) ? std::vector<Dataset>{read_folder(path)} : read_json(path, true);
  require(!sets.empty(), path.string(), ": names no sets");
  for (const Dataset& set : sets)
    require(!set.samples.empty(), path.string(), ": no image of ", one_line(set.name), " has a mask (",
            set.layout, ", ", set.unpaired.size(), " files that do not pair)");
  return sets;
}

Tensor load_truth(const Sample& sample) {
  require(!sample.authentic(), sample.key, ": an authentic image has no mask");
  if (sample.code == MaskCode::runs) {
    Tensor mask = mask_of(sample.runs.at(0));
    for (std::size_t i = 1; i < sample.runs.size(); ++i) unite(mask, mask_of(sample.runs[i]));
    return mask;
  }
  if (sample.code == MaskCode::white) return load_mask(sample.mask);
  const Tensor image = load_image(sample.mask);
  Tensor mask = empty({image.dim(0), image.dim(1)}, DType::u8);
  for (i64 i = 0; i < mask.numel(); ++i) {
    const u8* p = image.data<u8>() + 3 * i;
    const int sum = p[0] + p[1] + p[2];
    const bool tampered = sample.code == MaskCode::black       ? sum <= 3 * 127
                          : sample.code == MaskCode::not_black ? sum > 3 * 10
                                                               : p[1] > p[0] && p[1] > p[2];
    mask.data<u8>()[i] = tampered ? 255 : 0;
  }
  return mask;
}

}  // namespace bp
