#include "weights/zip.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

namespace bp {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50, kDirectoryHeader = 0x02014b50, kEnd = 0x06054b50,
                        kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr std::size_t kLocalSize = 30, kDirectorySize = 46, kEndSize = 22, kLocatorSize = 20;
constexpr std::uint32_t kIn64 = 0xffffffff;  // "the value is in the zip64 field"

struct Directory {
  std::uint64_t records = 0, size = 0, offset = 0;
};

ByteSpan part(const std::string& what, ByteSpan file, std::uint64_t offset, std::uint64_t size) {
  require(offset <= file.size() && size <= file.size() - offset, what, ": ", size, " bytes at ", offset,
          " leave the file of ", file.size());
  return file.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

std::uint32_t signature_at(ByteSpan file, std::size_t offset) {
  std::uint32_t value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

// The end record is the last thing in the file but for a comment of at most 65535 bytes.
std::size_t find_end(const std::string& path, ByteSpan file) {
  require(file.size() >= kEndSize, path, ": truncated zip of ", file.size(), " bytes");
  const std::size_t last = file.size() - kEndSize, first = last > 65535 ? last - 65535 : 0;
  for (std::size_t at = last + 1; at-- > first;)
    if (signature_at(file, at) == kEnd) return at;
  fail(path, ": truncated zip: it has no directory at its end");
}

Directory read_end(const std::string& path, ByteSpan file) {
  const std::size_t end = find_end(path, file);
  const std::string what = path + ": zip end record";
  Cursor c(file.subspan(end + 4), what);
  Directory d;
  const auto disk = c.number<std::uint16_t>(), first_disk = c.number<std::uint16_t>();
  require(disk == first_disk && (disk == 0 || disk == 0xffff), what, ": the zip is in several parts");
  c.take(2);
  d.records = c.number<std::uint16_t>();
  d.size = c.number<std::uint32_t>();
  d.offset = c.number<std::uint32_t>();
  if (end < kLocatorSize || signature_at(file, end - kLocatorSize) != kEnd64Locator) return d;

  Cursor locator(file.subspan(end - kLocatorSize + 8), what);
  const auto at = locator.number<std::uint64_t>();
  Cursor c64(part(what, file, at, 56), what);
  require(c64.number<std::uint32_t>() == kEnd64, what, ": no zip64 record at byte ", at);
  c64.take(28);
  d.records = c64.number<std::uint64_t>();
  d.size = c64.number<std::uint64_t>();
  d.offset = c64.number<std::uint64_t>();
  return d;
}

// The zip64 extra field holds, in this order, those of size, compressed size and offset that are kIn64.
void read_zip64(Cursor extra, std::uint64_t& size, std::uint64_t& stored, std::uint64_t& offset) {
  while (extra.remaining() >= 4) {
    const auto id = extra.number<std::uint16_t>(), length = extra.number<std::uint16_t>();
    if (id != 1) {
      extra.take(length);
      continue;
    }
    for (std::uint64_t* value : {&size, &stored, &offset})
      if (*value == kIn64) *value = extra.number<std::uint64_t>();
    return;
  }
}

struct Extent {
  std::uint64_t begin, end;
  std::string_view name;
};

}  // namespace

std::vector<ZipRecord> read_zip(const std::string& path, ByteSpan file) {
  const Directory directory = read_end(path, file);
  const std::string what = path + ": zip directory";
  Cursor c(part(what, file, directory.offset, directory.size), what);
  require(directory.records <= directory.size / kDirectorySize, what, ": ", directory.records, " records in ",
          directory.size, " bytes");

  std::vector<ZipRecord> records;
  std::vector<Extent> extents;
  std::unordered_set<std::string_view> names;
  for (std::uint64_t i = 0; i < directory.records; ++i) {
    require(c.number<std::uint32_t>() == kDirectoryHeader, what, ": damaged at record ", i);
    c.take(4);
    const auto flags = c.number<std::uint16_t>(), method = c.number<std::uint16_t>();
    c.take(8);
    std::uint64_t stored = c.number<std::uint32_t>(), size = c.number<std::uint32_t>();
    const auto name_length = c.number<std::uint16_t>(), extra_length = c.number<std::uint16_t>(),
               comment_length = c.number<std::uint16_t>();
    c.take(8);
    std::uint64_t offset = c.number<std::uint32_t>();
    const std::string_view name = c.text(name_length);
    const std::string record = text(path, ": zip record '", printable(name), "'");
    read_zip64(Cursor(c.take(extra_length), record), size, stored, offset);
    c.take(comment_length);

    require((flags & 1) == 0, record, " is encrypted");
    require(method == 0, record, " is compressed; wanted stored records, as torch.save writes them");
    require(size == stored, record, " has two sizes, ", size, " and ", stored);
    require(names.insert(name).second, record, " appears twice");

    // Name and extra field of the local header may differ in length from the directory's.
    Cursor local(part(record, file, offset, kLocalSize), record);
    require(local.number<std::uint32_t>() == kLocalHeader, record, ": no record at byte ", offset);
    local.take(22);
    const auto local_name = local.number<std::uint16_t>(), local_extra = local.number<std::uint16_t>();
    const std::uint64_t begin = offset + kLocalSize + local_name + local_extra;
    records.push_back({name, part(record, file, begin, size)});
    extents.push_back({offset, begin + size, name});
  }
  require(c.remaining() == 0, what, ": ", c.remaining(), " bytes after its last record");

  extents.push_back({directory.offset, directory.offset + directory.size, "directory"});
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < extents.size(); ++i)
    require(extents[i - 1].end <= extents[i].begin, path, ": zip records '", printable(extents[i - 1].name),
            "' and '", printable(extents[i].name), "' overlap");
  return records;
}

}  // namespace bp
