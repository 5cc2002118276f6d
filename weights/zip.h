// The directory of a zip file whose records are stored, not compressed, as PyTorch writes them. Zip64
// included. Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "weights/bytes.h"

namespace bp {

struct ZipRecord {
  std::string_view name;  // both point into the file
  ByteSpan data;
};

// In the order of the directory. Throws Error for a truncated file, compressed or encrypted records, records
// that overlap or leave the file, and a name that appears twice. Checksums are not looked at.
std::vector<ZipRecord> read_zip(const std::string& path, ByteSpan file);

}  // namespace bp
