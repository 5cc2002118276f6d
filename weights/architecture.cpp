#include "weights/architecture.h"

namespace bp {
namespace {

using Family = Architecture::Family;

// The widths of a TinyViT's stages, as its local convolutions and patch embedding show them; 0 where one is
// missing.
Shape tiny_vit_widths(const ArchiveSource& source, const std::string& prefix) {
  Shape widths;
  for (const char* name :
       {"patch_embed.seq.2.c.weight", "layers.1.blocks.0.local_conv.c.weight",
        "layers.2.blocks.0.local_conv.c.weight", "layers.3.blocks.0.local_conv.c.weight"}) {
    const Entry* e = source.find(prefix + name);
    widths.push_back(e && e->shape.rank() == 4 ? e->shape[0] : 0);
  }
  return widths;
}

bool any_starts_with(const ArchiveSource& source, std::string_view prefix) {
  const auto& files = source.keys().files;
  const auto it = files.lower_bound(std::string(prefix));
  return it != files.end() && it->first.starts_with(prefix);
}

[[noreturn]] void refuse(const ArchiveSource& source, const std::string& seen) {
  fail(source.origin(), ": architecture not recognised: ", seen, "; known are ", architecture_names());
}

Architecture tiny_vit(const ArchiveSource& source, const std::string& prefix, const Architecture& found) {
  const Shape widths = tiny_vit_widths(source, prefix);
  if (!(widths == Shape{64, 128, 160, 320}))
    refuse(source, text("a TinyViT of widths ", widths, ", wanted [64,128,160,320]"));
  return found;
}

// A student without a part has none of that part's parameters.
Architecture student(const ArchiveSource& source) {
  std::string variant;
  for (const char* part : {"gate", "memory"})
    if (!any_starts_with(source, text("fusion.", part, ".")))
      variant += text(variant.empty() ? "no_" : "_no_", part);
  return tiny_vit(source, "trunk.", {Family::student, variant});
}

}  // namespace

std::string Architecture::name() const {
  switch (family) {
    case Family::sam:
      return "sam_" + variant;
    case Family::tiny_vit:
      return "tiny_vit_" + variant;
    case Family::student:
      return variant.empty() ? "student" : "student_" + variant;
  }
  fail("architecture: unknown family");
}

const std::vector<Architecture>& known_architectures() {
  static const std::vector<Architecture> known = {
      {Family::sam, "vit_b"},       {Family::sam, "vit_l"},         {Family::sam, "vit_h"},
      {Family::sam, "vit_t"},       {Family::tiny_vit, "5m"},       {Family::student, ""},
      {Family::student, "no_gate"}, {Family::student, "no_memory"}, {Family::student, "no_gate_no_memory"}};
  return known;
}

std::string architecture_names() {
  std::string names;
  for (const Architecture& a : known_architectures()) names += (names.empty() ? "" : ", ") + a.name();
  return names;
}

Architecture architecture_named(const std::string& name) {
  for (const Architecture& a : known_architectures())
    if (a.name() == name) return a;
  fail("unknown architecture '", printable(name), "'; known are ", architecture_names());
}

Architecture recognise(const ArchiveSource& source) {
  if (const Entry* patch = source.find("image_encoder.patch_embed.proj.weight")) {
    const i64 width = patch->shape.rank() == 4 ? patch->shape[0] : 0;
    if (width == 768) return {Family::sam, "vit_b"};
    if (width == 1024) return {Family::sam, "vit_l"};
    if (width == 1280) return {Family::sam, "vit_h"};
    refuse(source, text("a SAM image encoder with patch embedding ", patch->shape));
  }
  if (source.find("image_encoder.patch_embed.seq.0.c.weight"))
    return tiny_vit(source, "image_encoder.", {Family::sam, "vit_t"});
  if (source.find("patch_embed.seq.0.c.weight")) return tiny_vit(source, "", {Family::tiny_vit, "5m"});
  if (source.find("trunk.patch_embed.seq.0.c.weight") && any_starts_with(source, "fusion."))
    return student(source);

  const auto& entries = source.archive().entries();
  std::string seen = text(entries.size(), " tensors");
  for (std::size_t i = 0; i < entries.size() && i < 3; ++i)
    seen += text(i ? ", " : ", the first are ", printable(entries[i].name), " ", entries[i].shape);
  refuse(source, seen);
}

}  // namespace bp
