// The annotations of a folder: in memory, and in one COCO file that is replaced whole after every change, so
// that a killed server loses nothing that was saved.
#pragma once
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "apps/annotate/annotation.h"

namespace bp::annotate {

// While it lives no other process gets a lock of the same name. The file is removed at the end.
class FileLock {
 public:
  // Throws Error, saying `what` is in use, where another process has it.
  FileLock(const std::filesystem::path& path, const std::string& what);
  ~FileLock() { release(); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  void release();

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

// All members may be called from any thread; readers do not wait for the disk.
class Store {
 public:
  // `names` are the images' file_name in the file. A file that is there must be one of ours; what it says of
  // other images is kept. Throws Error where it is not, cannot be read, or is in use by another process.
  Store(const std::filesystem::path& file, const std::vector<std::string>& names);

  Annotation get(std::size_t image) const;
  std::vector<Annotation> all() const;  // without masks

  // Saves `next` where next.version is the one that is stored; true once it is on the disk. Masks of boxes
  // whose prompt and choice did not change are kept. False: another was first, nothing was done. Throws Error
  // where the file cannot be written or was changed by another program; then nothing has changed here.
  bool put(std::size_t image, Annotation next, const ImageSize& size);

  // Gives the masks in `boxes` to those stored boxes of the same prompt and choice that have none. A mask is
  // derived, so the version stays.
  void add_masks(std::size_t image, const std::vector<DrawnBox>& boxes);

  const std::filesystem::path& file() const { return file_; }
  void release() { lock_.release(); }  // before the process ends without destructors

 private:
  struct Record {
    std::string name;
    i64 id = 0;  // 0: never saved
    ImageSize size;
    Annotation annotation;
    std::string image_line, box_lines;  // as they stand in the file
  };
  struct Seen {  // how the file was when we left it
    bool there = false;
    i64 size = 0, seconds = 0, nanoseconds = 0;
    std::uint64_t inode = 0;
    bool operator==(const Seen&) const = default;
  };

  void load();
  void write_with(std::size_t image, const Record& changed);
  Seen look() const;

  const std::filesystem::path file_;
  FileLock lock_;
  std::mutex writing_;        // held by a change from its check to the end of its write
  mutable std::mutex mutex_;  // of the records; changed only while both are held
  std::vector<Record> records_;
  std::vector<std::string> other_images_, other_boxes_, other_open_;  // lines of images not in the folder
  i64 next_id_ = 1;
  Seen seen_;
};

}  // namespace bp::annotate
