#include "weights/keys.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/error.h"
#include "weights/bytes.h"

namespace bp {
namespace {

// One spelling replaced by another wherever it appears between dots: {"neck.conv1", "neck.0"}.
using Rules = std::vector<std::pair<std::string_view, std::string_view>>;

std::string apply(std::string name, const Rules& rules) {
  for (const auto& [from, to] : rules) {
    for (std::size_t at = 0; (at = name.find(from, at)) != name.npos;) {
      const std::size_t end = at + from.size();
      const bool whole = (at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.');
      if (whole) name.replace(at, from.size(), to);
      at += whole ? to.size() : 1;
    }
  }
  return name;
}

// Hugging Face's SamModel. Its MLP heads call layers 0, 1, 2 proj_in, layers.0, proj_out.
std::string from_hugging_face(std::string name) {
  static const Rules kVision = {{"vision_encoder", "image_encoder"},
                                {"layers", "blocks"},
                                {"layer_norm1", "norm1"},
                                {"layer_norm2", "norm2"},
                                {"patch_embed.projection", "patch_embed.proj"}};
  static const Rules kNeck = {{"vision_encoder", "image_encoder"},
                              {"neck.conv1", "neck.0"},
                              {"neck.layer_norm1", "neck.1"},
                              {"neck.conv2", "neck.2"},
                              {"neck.layer_norm2", "neck.3"}};
  static const Rules kHead = {{"layers.0", "layers.1"}, {"proj_in", "layers.0"}, {"proj_out", "layers.2"}};
  static const Rules kPrompt = {
      {"shared_image_embedding.positional_embedding",
       "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"},
      {"shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"},
      {"point_embed", "point_embeddings"},
      {"mask_embed.conv1", "mask_downscaling.0"},
      {"mask_embed.layer_norm1", "mask_downscaling.1"},
      {"mask_embed.conv2", "mask_downscaling.3"},
      {"mask_embed.layer_norm2", "mask_downscaling.4"},
      {"mask_embed.conv3", "mask_downscaling.6"}};
  static const Rules kDecoder = {{"layer_norm1", "norm1"},
                                 {"layer_norm2", "norm2"},
                                 {"layer_norm3", "norm3"},
                                 {"layer_norm4", "norm4"},
                                 {"layer_norm_final_attn", "norm_final_attn"},
                                 {"upscale_conv1", "output_upscaling.0"},
                                 {"upscale_layer_norm", "output_upscaling.1"},
                                 {"upscale_conv2", "output_upscaling.3"}};
  if (name.starts_with("vision_encoder.neck.")) return apply(std::move(name), kNeck);
  if (name.starts_with("vision_encoder.")) return apply(std::move(name), kVision);
  if (name.starts_with("mask_decoder.output_hypernetworks_mlps.") ||
      name.starts_with("mask_decoder.iou_prediction_head."))
    return apply(std::move(name), kHead);
  if (name.starts_with("mask_decoder.")) return apply(std::move(name), kDecoder);
  return apply(std::move(name), kPrompt);
}

// timm's tiny_vit: stages instead of layers, a stage's merging stands at the start of the next stage.
std::string from_timm(std::string name) {
  static const Rules kNames = {{"patch_embed.conv1", "patch_embed.seq.0"},
                               {"patch_embed.conv2", "patch_embed.seq.2"},
                               {"stages.1.downsample", "layers.0.downsample"},
                               {"stages.2.downsample", "layers.1.downsample"},
                               {"stages.3.downsample", "layers.2.downsample"},
                               {"stages", "layers"},
                               {"conv", "c"},
                               {"head.norm", "norm_head"},
                               {"head.fc", "head"}};
  return apply(std::move(name), kNames);
}

// Buffers that are computed from the architecture, counters, preprocessing constants, classification heads.
bool is_unused(std::string_view published) {
  if (published.starts_with("image_encoder."))
    published.remove_prefix(std::string_view("image_encoder.").size());
  return published.ends_with("attention_bias_idxs") || published.ends_with(".ab") ||
         published.ends_with("num_batches_tracked") || published == "pixel_mean" ||
         published == "pixel_std" || published.starts_with("norm_head.") || published.starts_with("head.");
}

bool all_start_with(const std::vector<std::string>& names, std::string_view prefix) {
  return !names.empty() &&
         std::all_of(names.begin(), names.end(), [&](const std::string& n) { return n.starts_with(prefix); });
}

bool any_contains(const std::vector<std::string>& names, std::string_view part) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& n) { return n.find(part) != n.npos; });
}

}  // namespace

KeyMap map_keys(const std::vector<std::string>& file_names) {
  std::vector<std::string> names = file_names;
  const auto strip = [&](std::string_view prefix) {
    for (std::string& n : names) n.erase(0, prefix.size());
  };
  for (bool again = true; again;) {
    again = false;
    for (const char* prefix : {"module.", "model."})
      if (all_start_with(names, prefix)) {
        strip(prefix);
        again = true;
      }
  }
  if (all_start_with(names, "image_encoder.") && !any_contains(names, ".neck.") &&
      any_contains(names, "patch_embed.seq.0.c."))
    strip("image_encoder.");

  KeyMap map;
  const bool hugging_face = any_contains(names, "vision_encoder."),
             timm = any_contains(names, "stages.0.blocks.");
  map.dialect = hugging_face ? "Hugging Face" : timm ? "timm" : "official";
  for (std::size_t i = 0; i < names.size(); ++i) {
    // A copy of prompt_encoder.shared_embedding; files that drop copies may hold either.
    constexpr std::string_view kCopy = "shared_image_embedding.positional_embedding";
    const std::string published = hugging_face ? from_hugging_face(names[i])
                                  : timm       ? from_timm(names[i])
                                               : names[i];
    const bool copy = hugging_face && names[i] == kCopy &&
                      std::find(names.begin(), names.end(),
                                "prompt_encoder.shared_embedding.positional_embedding") != names.end();
    if (copy || is_unused(published)) {
      map.unused.push_back(file_names[i]);
      continue;
    }
    const auto [it, is_new] = map.files.emplace(published, file_names[i]);
    require(is_new, "'", printable(it->second), "' and '", printable(file_names[i]), "' both mean ",
            printable(published));
  }
  return map;
}

}  // namespace bp
