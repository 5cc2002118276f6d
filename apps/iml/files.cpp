#include "apps/iml/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "engine/error.h"
#include "weights/file.h"

namespace bp {
namespace {

std::string lower(std::string s) {
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return s;
}

std::vector<ImageFile> images_in_folder(const fs::path& folder, bool recursive) {
  std::vector<ImageFile> images;
  const auto take = [&](const fs::directory_entry& e) {
    std::error_code broken_link;
    if (e.is_regular_file(broken_link) && has_image_extension(e.path()))
      images.push_back({e.path(), e.path().lexically_relative(folder).generic_string()});
  };
  std::error_code error;
  if (recursive) {
    for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
      take(*it);
  } else {
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) take(*it);
  }
  require(!error, folder.string(), ": cannot list the folder (", error.message(), ")");
  std::sort(images.begin(), images.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return images;
}

std::vector<ImageFile> images_of_list(const fs::path& list) {
  const std::string bytes = read_file(list);
  require(bytes.find('\0') == std::string::npos, list.string(),
          ": neither an image (by its name) nor a text list of images");
  std::vector<ImageFile> images;
  std::map<std::string, int> line_of;
  int number = 0;
  for (std::size_t begin = bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0; begin < bytes.size();) {
    const std::size_t end = std::min(bytes.find('\n', begin), bytes.size());
    std::string line = bytes.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    line.erase(line.find_last_not_of(" \t\r") + 1);
    line.erase(0, line.find_first_not_of(" \t"));
    if (line.empty()) continue;
    std::string key = relative_key(line);
    const auto [seen, first] = line_of.emplace(key, number);
    require(first, list.string(), ": lines ", seen->second, " and ", number, " both name ", key);
    images.push_back({list.parent_path() / line, std::move(key)});
  }
  return images;
}

}  // namespace

std::string read_file(const fs::path& path, std::uintmax_t limit) {
  std::error_code error;
  const auto status = fs::status(path, error);
  require(fs::exists(status), path.string(), ": no such file");
  require(!fs::is_directory(status), path.string(), ": is a folder, wanted a file");
  require(fs::is_regular_file(status), path.string(), ": not a regular file");
  const auto size = fs::file_size(path, error);
  require(!error, path.string(), ": ", error.message());
  require(size <= limit, path.string(), ": ", size, " bytes, at most ", limit, " are read");
  std::ifstream in(path, std::ios::binary);
  require(in.good(), path.string(), ": cannot open (", std::strerror(errno), ")");
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  require(!in.bad() && in.gcount() == static_cast<std::streamsize>(size), path.string(),
          ": cannot read all of it");
  return bytes;
}

void write_file(const fs::path& path, std::string_view bytes) {
  OutputFile file(path.string());
  file.write(bytes.data(), bytes.size());
  file.commit();
}

std::string file_identity(const fs::path& path) {
  const std::string bytes = read_file(path);
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
  return path.filename().string() + ", " + std::to_string(bytes.size()) + " bytes, " + hex;
}

std::string one_line(std::string s) {
  for (char& c : s)
    if ((c >= 0 && c < 32) || c == 127) c = '?';
  return s;
}

bool has_image_extension(const fs::path& path) {
  static const std::set<std::string> known{".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff"};
  return known.contains(lower(path.extension().string()));
}

std::string relative_key(const fs::path& path) {
  fs::path key;
  for (const fs::path& part : path.lexically_normal().relative_path())
    if (part != ".." && part != ".") key /= part;
  return key.generic_string();
}

std::vector<ImageFile> list_images(const fs::path& source, bool recursive) {
  std::error_code error;
  require(fs::exists(source, error), source.string(), ": no such file or folder");
  if (fs::is_directory(source, error)) {
    auto images = images_in_folder(source, recursive);
    require(!images.empty(), source.string(), ": no images (jpg, png, bmp, tif) in this folder",
            recursive ? " or below" : "");
    return images;
  }
  if (has_image_extension(source)) return {{source, source.filename().string()}};
  auto images = images_of_list(source);
  require(!images.empty(), source.string(), ": an empty list of images");
  return images;
}

MaskPairs pair_masks(std::span<const ImageFile> images, const fs::path& mask_folder) {
  std::error_code error;
  require(fs::is_directory(mask_folder, error), mask_folder.string(), ": no such folder of masks");
  std::set<fs::path> is_image;
  for (const ImageFile& image : images) is_image.insert(fs::weakly_canonical(image.path));
  const auto masks = images_in_folder(mask_folder, true);
  std::multimap<std::string, std::size_t> by_stem;
  for (std::size_t m = 0; m < masks.size(); ++m)
    if (!is_image.contains(fs::weakly_canonical(masks[m].path)))
      by_stem.emplace(masks[m].path.stem().string(), m);

  MaskPairs pairs;
  std::vector<bool> used(masks.size());
  for (const ImageFile& image : images) {
    const fs::path key(image.key);
    const std::string stem = key.stem().string();
    std::vector<std::string> wanted{stem, stem + "_gt", stem + "_mask", stem + "_forged", stem + "_edgemask"};
    if (stem.ends_with('t')) wanted.push_back(stem.substr(0, stem.size() - 1) + "forged");
    std::vector<std::size_t> found;
    for (const std::string& s : wanted)
      for (auto [it, end] = by_stem.equal_range(s); it != end; ++it) found.push_back(it->second);
    const auto beside = [&](std::size_t m) {
      return fs::path(masks[m].key).parent_path() == key.parent_path();
    };
    if (found.size() > 1 && std::any_of(found.begin(), found.end(), beside))
      std::erase_if(found, [&](std::size_t m) { return !beside(m); });
    for (const std::size_t m : found) used[m] = true;
    pairs.masks.push_back(found.size() == 1 ? masks[found[0]].path : fs::path());
    if (found.empty()) pairs.lone_images.push_back(image.key);
    if (found.size() > 1) {
      std::string names;
      for (const std::size_t m : found) names += (names.empty() ? "" : ", ") + masks[m].key;
      pairs.ambiguous.push_back(image.key + ": " + names);
    }
  }
  for (const auto& [stem, m] : by_stem)
    if (!used[m]) pairs.lone_masks.push_back(masks[m].key);
  return pairs;
}

}  // namespace bp
