// Compares SAM with recorded outputs of the published modules (see tests/golden/README.md for the files).
#pragma once
#include <string>

namespace bp::test {

// Runs every case that a file of outputs holds, on procedural weights with the file's salt, and checks each
// with doctest. `images` is the folder of the photographs; an image whose name begins with "pattern_" is
// computed.
void check_sam(const std::string& file, const std::string& images);
// The same for the trunk's four feature maps in inference.
void check_tiny_vit(const std::string& file);

}  // namespace bp::test
