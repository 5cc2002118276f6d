// What the tests of weights share: a folder of their own, files made by hand, the message of an error.
#pragma once
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/temp_folder.h"
#include "weights/archive.h"

namespace weights_test {

// A temporary folder whose files are named by strings.
class Folder {
 public:
  std::string operator/(const std::string& name) const { return (folder_.path / name).string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_.path), {}));
  }

 private:
  TempFolder folder_;
};

inline std::string fixture(const std::string& name) {
  return std::string(BOXPROMPT_SOURCE_DIR) + "/tests/data/weights/" + name;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

// Bytes of the mapping around an address that this process has in memory; nothing where the system does not
// tell.
inline std::optional<std::size_t> resident_around(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &begin, &end) == 2) inside = begin <= wanted && wanted < end;
    if (inside && line.starts_with("Rss:")) return 1024 * std::stoul(line.substr(4));
  }
  return std::nullopt;
}

inline std::string write_bytes(const std::string& path, const std::string& bytes) {
  std::filesystem::remove(path);  // some file systems wait for the disk when a file is overwritten
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

template <class T>
std::string le(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  return le<std::uint64_t>(header.size()) + header + data;
}

// A zip of stored records.
inline std::string zip(const std::vector<std::pair<std::string, std::string>>& records) {
  std::string file, directory;
  for (const auto& [name, data] : records) {
    const auto sizes = le<std::uint32_t>(0) + le(static_cast<std::uint32_t>(data.size())) +
                       le(static_cast<std::uint32_t>(data.size())) +
                       le(static_cast<std::uint16_t>(name.size()));
    directory += "PK\x01\x02" + std::string(12, '\0') + sizes + std::string(12, '\0') +
                 le(static_cast<std::uint32_t>(file.size())) + name;
    file += "PK\x03\x04" + std::string(10, '\0') + sizes + std::string(2, '\0') + name + data;
  }
  const auto count = le(static_cast<std::uint16_t>(records.size()));
  return file + directory + "PK\x05\x06" + std::string(4, '\0') + count + count +
         le(static_cast<std::uint32_t>(directory.size())) + le(static_cast<std::uint32_t>(file.size())) +
         std::string(2, '\0');
}

// The message of the bp::Error that f throws; one line. Any other exception fails the test by itself.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const bp::Error& e) {
    const std::string message = e.what();
    CHECK(message.find('\n') == message.npos);
    return message;
  }
  return "no error";
}

inline std::string error_of_opening(const std::string& path) {
  return error_of([&] { bp::open_archive(path); });
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

}  // namespace weights_test

#define CHECK_CONTAINS(text, part)              \
  do {                                          \
    const std::string text_ = (text);           \
    CAPTURE(text_);                             \
    CHECK(weights_test::contains(text_, part)); \
  } while (false)
