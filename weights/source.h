// Where the parameters of a net come from: a file, or the procedural rule.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/param.h"
#include "weights/archive.h"
#include "weights/keys.h"

namespace bp {

class Source {
 public:
  virtual ~Source() = default;
  // The shape under which it holds a parameter; nothing where it does not hold it.
  virtual std::optional<Shape> shape(const Param& wanted) const = 0;
  // The parameter in published layout, f32 or bf16. Throws where it is not held or of no such type.
  virtual Tensor tensor(const Param& wanted) const = 0;
  virtual std::string origin() const = 0;  // for messages: the path
};

class ArchiveSource final : public Source {
 public:
  explicit ArchiveSource(Archive archive);

  const Archive& archive() const { return archive_; }
  const KeyMap& keys() const { return keys_; }
  const Entry* find(const std::string& published) const;  // nullptr where there is none
  // Published names of tensors in the file that none of the parameters is.
  std::vector<std::string> left_over(const Params& params) const;

  std::optional<Shape> shape(const Param& wanted) const override;
  Tensor tensor(const Param& wanted) const override;
  std::string origin() const override { return archive_.path(); }

 private:
  Archive archive_;
  KeyMap keys_;
};

// weights/procedural.h: holds every parameter there is.
class ProceduralSource final : public Source {
 public:
  explicit ProceduralSource(std::string salt = {}) : salt_(std::move(salt)) {}

  std::optional<Shape> shape(const Param& wanted) const override { return wanted.shape; }
  Tensor tensor(const Param& wanted) const override;
  std::string origin() const override { return "procedural weights"; }

 private:
  std::string salt_;
};

}  // namespace bp
