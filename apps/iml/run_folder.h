// A folder that a long run fills and a later one may go on in: what it was begun with, and its records.
#pragma once
#include <cstdio>
#include <map>
#include <string>

#include "apps/iml/files.h"
#include "engine/tensor.h"

namespace bp {

// With all above it. Throws Error.
void make_folder(const fs::path& folder);

// Where an image's picture of a kind goes: OUT/<kind>/<key without extension>.png; and writing it there (u8
// [H,W] or [H,W,3]).
fs::path picture_path(const fs::path& out, const char* kind, const ImageFile& image);
void save_in_folder(const fs::path& path, const Tensor& image);

// A number of an option, as settings keep it: 9 significant digits unless told, no zeros behind.
std::string shortest(double v, int digits = 9);

// Makes the folder and keeps `settings` in its settings.json. Where an earlier run left its own there, they
// must be these, or its results would be mixed with others: Error naming the first that differs. `anew`
// replaces them.
void claim_folder(const fs::path& folder, const std::map<std::string, std::string>& settings, bool anew);

// Appends lines in one write each, so that a kill cuts off at most the end. A torn line of an earlier kill is
// ended first.
class RecordFile {
 public:
  explicit RecordFile(const fs::path& path);
  ~RecordFile() { std::fclose(file_); }
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  void append(const std::string& lines);

 private:
  fs::path path_;
  std::FILE* file_ = nullptr;
};

}  // namespace bp
