// The names under which different projects publish the same parameters, brought to the official ones: those
// of facebookresearch/segment-anything (and MobileSAM, whose trunk is Microsoft's TinyViT) and of
// microsoft/Cream's TinyViT. Sources of the other spellings: huggingface/transformers
// models/sam/convert_sam_to_hf.py; timm models/tiny_vit.py.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace bp {

struct KeyMap {
  std::string dialect;                       // "official", "Hugging Face" or "timm"
  std::map<std::string, std::string> files;  // published name -> name in the file
  std::vector<std::string> unused;  // names in the file of what no net here needs: index buffers, heads
};

// Strips `module.` and `model.` where all names have it, and `image_encoder.` from a trunk that stands alone.
// Names that are not understood keep their spelling. Throws where two names mean one parameter.
KeyMap map_keys(const std::vector<std::string>& file_names);

}  // namespace bp
