#include "apps/iml/run_folder.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "apps/iml/image.h"
#include "engine/error.h"

namespace bp {

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error, folder.string(), ": cannot make the folder: ", error.message());
}

fs::path picture_path(const fs::path& out, const char* kind, const ImageFile& image) {
  fs::path name(image.key);
  return out / kind / name.replace_extension(".png");
}

void save_in_folder(const fs::path& path, const Tensor& image) {
  make_folder(path.parent_path());
  save_png(path, image);
}

std::string shortest(double v, int digits) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.*g", digits, v);
  return buffer;
}

void claim_folder(const fs::path& folder, const std::map<std::string, std::string>& settings, bool anew) {
  make_folder(folder);
  const fs::path file = folder / "settings.json";
  if (!anew && fs::exists(file)) {
    const auto found = nlohmann::ordered_json::parse(read_file(file), nullptr, false);
    require(found.is_object(), file.string(), ": not readable; --force begins anew");
    for (const auto& [name, value] : settings) {
      const std::string before =
          found.contains(name) && found[name].is_string() ? found[name].get<std::string>() : "";
      require(before == value, folder.string(), ": was made with ", name, " '", before, "', now '", value,
              "'; take another folder, or --force to begin anew");
    }
    return;
  }
  write_file(file, nlohmann::ordered_json(settings).dump(2) + "\n");
}

RecordFile::RecordFile(const fs::path& path) : path_(path) {
  bool torn = false;
  if (std::FILE* f = std::fopen(path.c_str(), "rb")) {
    torn = std::fseek(f, -1, SEEK_END) == 0 && std::fgetc(f) != '\n';
    std::fclose(f);
  }
  file_ = std::fopen(path.c_str(), "ab");
  require(file_ != nullptr, path.string(), ": cannot write: ", std::strerror(errno));
  if (torn) append("\n");
}

void RecordFile::append(const std::string& lines) {
  const bool whole =
      std::fwrite(lines.data(), 1, lines.size(), file_) == lines.size() && std::fflush(file_) == 0;
  require(whole, path_.string(), ": cannot write: ", std::strerror(errno));
}

}  // namespace bp
