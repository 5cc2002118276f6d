// Files as the readers and writers of this system use them: mapped for reading, replaced whole when written.
#pragma once
#include <memory>
#include <string>

#include "weights/bytes.h"

namespace bp {

// A regular file of at least one byte, mapped read-only for as long as the object lives. Pages are read when
// they are touched and can be dropped by the system, so a mapped checkpoint costs no memory of its own. The
// file must not be truncated meanwhile; replacing it by rename is fine.
class MappedFile {
 public:
  // Throws Error for a missing, empty or unreadable file, a folder, a device.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  ByteSpan bytes() const { return bytes_; }

  // Keeps the file mapped; with the last owner the pages that lie wholly in `part` of bytes() leave this
  // process's resident set, so that weights that were copied or cast do not stay there beside their copies.
  // The contents stay: another owner of the same bytes finds them, read from the file or its cache once more.
  // Throws Error unless the part lies in the file.
  static std::shared_ptr<const void> hold(std::shared_ptr<const MappedFile> file, ByteSpan part);

 private:
  MappedFile() = default;
  std::string path_;
  ByteSpan bytes_;
};

// A file that appears under its name only when it is complete: written under a temporary name in the same
// folder, synchronised and renamed by commit(). Without commit() nothing is left behind and an older file
// stays as it was.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, std::size_t bytes);  // throws Error, for example when the disk is full
  void commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
};

}  // namespace bp
