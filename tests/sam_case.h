// Compares SAM with recorded outputs of the published modules (see tests/golden/README.md for the files).
#pragma once
#include <string>

namespace bp::test {

// Runs every case that a file of outputs holds, on procedural weights with the file's salt, and checks each
// with doctest, on test_device(). `images` is the folder of the photographs; an image whose name begins with
// "pattern_" is computed.
void check_sam(const std::string& file, const std::string& images);
// Masks and embedding in bf16 beside those in f32, at the original size. On these procedural weights, which
// have no margin at a mask's border, ViT-B comes to an IoU of .993 and an embedding within 0.7 % of the
// largest value, MobileSAM to .986 and 1.7 %.
void check_sam_bf16(const std::string& file, const std::string& images);
// As check_sam, for the trunk's four feature maps in inference.
void check_tiny_vit(const std::string& file);

}  // namespace bp::test
