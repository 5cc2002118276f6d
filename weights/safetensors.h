// safetensors: 8 bytes of header length, a JSON header {"name": {"dtype", "shape", "data_offsets"},
// "__metadata__"}, then the tensors' bytes without gaps. Format:
// https://github.com/huggingface/safetensors#format
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "weights/archive.h"

namespace bp {

// Throws Error unless the header is whole, its JSON plain (no nesting beyond the format's, no key twice),
// every dtype known, every size equal to its shape's, and the tensors cover the rest of the file without
// overlap or gap. Nothing that the header claims is allocated before that.
Archive read_safetensors(std::shared_ptr<const MappedFile> file);

struct PlannedTensor {
  std::string name;
  FileDType dtype = FileDType::F32;  // F32, BF16, I32 or U8
  Shape shape;
};

// Writes the tensors one by one: `value` is asked for tensor i when its turn comes (types of larger elements
// first, so that all lie aligned; else in the given order), and only one is held at a time. f32 and bf16
// values become the planned F32 or BF16. The data begin at a multiple of 64 bytes. The file appears under its
// name only when it is complete.
void write_safetensors(const std::string& path, const std::vector<PlannedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata,
                       const std::function<Tensor(std::size_t i)>& value);

}  // namespace bp
