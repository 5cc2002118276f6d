// A file of named tensors, whatever its format: safetensors or PyTorch's zip format (.pth, .pt, .bin).
// Opening checks every name, size and offset against the file's length before anything is allocated; the data
// stay in the file.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/tensor.h"
#include "weights/file.h"

namespace bp {

// Element types of files, named as safetensors names them.
enum class FileDType : u8 {
  F64,
  F32,
  F16,
  BF16,
  F8_E5M2,
  F8_E4M3,
  I64,
  I32,
  I16,
  I8,
  U64,
  U32,
  U16,
  U8,
  BOOL
};
const char* name_of(FileDType dtype);
i64 size_of(FileDType dtype);
std::optional<FileDType> file_dtype(std::string_view name);

struct Entry {
  std::string name;
  FileDType dtype = FileDType::F32;
  Shape shape;
  Shape strides;                    // in elements, never negative
  const std::byte* data = nullptr;  // first element; may be unaligned

  bool contiguous() const;
  ByteSpan bytes() const;  // from the first to the last element
};

// Row-major strides of a shape.
Shape dense_strides(const Shape& shape);
// Product of the sizes; throws where a size is negative or the product does not fit.
i64 checked_numel(const std::string& what, const Shape& shape);

class Archive {
 public:
  Archive(std::shared_ptr<const MappedFile> file, std::string format, std::vector<Entry> entries,
          std::map<std::string, std::string> metadata = {});

  const std::string& path() const { return file_->path(); }
  std::size_t bytes() const { return file_->bytes().size(); }
  const std::string& format() const { return format_; }           // "safetensors" or "PyTorch"
  const std::vector<Entry>& entries() const { return entries_; }  // in the file's order, names are distinct
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  const Entry* find(const std::string& name) const;  // nullptr where there is none
  const Entry& at(const std::string& name) const;    // throws

  // F32, BF16, I32, U8 and BOOL (as u8) share the file's memory where they lie contiguous and aligned, and
  // are gathered where not; F16 and F64 become f32. Other types throw. The memory of a shared tensor is
  // read-only. With the last handle to a shared tensor, and once another one is gathered or converted, its
  // pages of the file leave the resident set.
  Tensor tensor(const std::string& name) const;
  // Row-major values of a tensor of integers (any I, U or BOOL type but U64).
  std::vector<i64> integers(const std::string& name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::string format_;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
  std::unordered_map<std::string, std::size_t> index_;
};

// The format is told by content, never by name.
Archive open_archive(const std::string& path);

}  // namespace bp
