// Which network a file of weights belongs to, told from its names and shapes.
#pragma once
#include <string>
#include <vector>

#include "weights/source.h"

namespace bp {

struct Architecture {
  enum class Family : std::uint8_t { sam, tiny_vit, student } family = Family::sam;
  // Of sam: "vit_b", "vit_l", "vit_h", "vit_t" (MobileSAM); of tiny_vit: "5m"; of student: "" where all parts
  // are there, "no_gate", "no_memory", "no_gate_no_memory".
  std::string variant;

  std::string name() const;  // "sam_vit_b", "tiny_vit_5m", "student", "student_no_gate"
  friend bool operator==(const Architecture&, const Architecture&) = default;
};

const std::vector<Architecture>& known_architectures();
std::string architecture_names();  // "sam_vit_b, sam_vit_l, ..."

// Throws Error naming what is known.
Architecture architecture_named(const std::string& name);

// Throws Error saying what was seen and what is known. A file whose encoder is recognised may still lack
// parameters.
Architecture recognise(const ArchiveSource& source);

}  // namespace bp
