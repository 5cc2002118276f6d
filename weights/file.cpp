#include "weights/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace bp {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

std::string reason() {
  return std::strerror(errno);
}

// Of a private mapping that nobody writes. Advice only: where it is refused, the pages stay.
void drop_pages(ByteSpan part) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t begin = (address + page - 1) / page * page,
                       end = (address + part.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  require(file.fd >= 0, path, ": cannot be opened: ", reason());
  struct stat info {};
  require(::fstat(file.fd, &info) == 0, path, ": cannot be read: ", reason());
  require(!S_ISDIR(info.st_mode), path, ": is a folder, wanted a file");
  require(S_ISREG(info.st_mode), path, ": is not a regular file");
  require(info.st_size > 0, path, ": is empty");

  const auto size = static_cast<std::size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  require(data != MAP_FAILED, path, ": cannot be mapped: ", reason());
  const std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  mapped->bytes_ = {static_cast<const std::byte*>(data), size};
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::shared_ptr<const void> MappedFile::hold(std::shared_ptr<const MappedFile> file, ByteSpan part) {
  const std::byte *const data = part.data(), *const end = data + part.size();
  const ByteSpan all = file->bytes();
  // Elsewhere the pages may be memory that somebody wrote, and dropping them would zero it.
  require(part.empty() || (data >= all.data() && data <= end && end <= all.data() + all.size()), file->path(),
          ": asked to hold bytes that are not its own");
  return {data, [file = std::move(file), part](const void*) { drop_pages(part); }};
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  // Renaming replaces the entry itself: follow a link to the file it names, and never replace a device.
  if (fs::exists(path, ignored)) {
    require(fs::is_regular_file(path, ignored), path, ": exists and is not a regular file, not replaced");
    path_ = fs::canonical(path, ignored).string();
  }
  // Not of this process alone: what a killed run left is overwritten by the next.
  const fs::path whole(path_);
  temporary_ = (whole.parent_path() / ("." + whole.filename().string() + ".part")).string();
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  require(fd_ >= 0, path, ": cannot be written: ", reason());
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void OutputFile::write(const void* data, std::size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, from, bytes);
    if (n < 0 && errno == EINTR) continue;
    require(n > 0, path_, ": cannot be written: ", reason());
    from += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void OutputFile::commit() {
  require(::fsync(fd_) == 0, path_, ": cannot be written: ", reason());
  require(::rename(temporary_.c_str(), path_.c_str()) == 0, path_, ": cannot be written: ", reason());
  ::close(fd_);
  fd_ = -1;
}

}  // namespace bp
