#include "weights/source.h"

#include <unordered_set>

#include "weights/procedural.h"

namespace bp {
namespace {

KeyMap keys_of(const Archive& archive) {
  std::vector<std::string> names;
  for (const Entry& e : archive.entries()) names.push_back(e.name);
  try {
    return map_keys(names);
  } catch (const Error& e) {
    fail(archive.path(), ": ", e.what());
  }
}

}  // namespace

ArchiveSource::ArchiveSource(Archive archive) : archive_(std::move(archive)), keys_(keys_of(archive_)) {}

const Entry* ArchiveSource::find(const std::string& published) const {
  const auto it = keys_.files.find(published);
  return it == keys_.files.end() ? nullptr : archive_.find(it->second);
}

std::vector<std::string> ArchiveSource::left_over(const Params& params) const {
  std::unordered_set<std::string_view> wanted;
  for (const Param& p : params) wanted.insert(p.name);
  std::vector<std::string> out;
  for (const auto& [published, file] : keys_.files)
    if (!wanted.count(published)) out.push_back(published);
  return out;
}

std::optional<Shape> ArchiveSource::shape(const Param& wanted) const {
  const Entry* e = find(wanted.name);
  return e ? std::optional(e->shape) : std::nullopt;
}

Tensor ArchiveSource::tensor(const Param& wanted) const {
  const Entry* e = find(wanted.name);
  require(e != nullptr, origin(), ": no tensor ", wanted.name);
  const bool is_float = e->dtype == FileDType::F32 || e->dtype == FileDType::F16 ||
                        e->dtype == FileDType::BF16 || e->dtype == FileDType::F64;
  require(is_float, origin(), ": ", wanted.name, " is ", name_of(e->dtype), ", wanted F32, F16, BF16 or F64");
  return archive_.tensor(e->name);
}

Tensor ProceduralSource::tensor(const Param& wanted) const {
  return procedural(wanted.name, wanted.shape, salt_);
}

}  // namespace bp
